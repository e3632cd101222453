#include "ipc/rewrite.h"

#include <utility>

namespace bulkhead::ipc
{

namespace
{
constexpr Milliseconds answer_life{3000};
constexpr std::size_t max_answers = 250; // recent ones, and as many earlier ones
} // namespace

Message encode(const RewriteRequest& request)
{
    Message message(Kind::rewrite);
    message.add("context", request.context == RewriteContext::local ? "local" : "remote")
        .add("address", request.address);
    return message;
}

Message encode(const ResolveRequest& request)
{
    Message message(Kind::resolve);
    message.add("sender", request.sender).add("address", request.address);
    if (request.probe)
        message.add("probe", "yes");
    return message;
}

Message encode(const Resolved& answer, bool by_rules)
{
    Message message(Kind::ok);
    message.add("transport", answer.transport)
        .add("nexthop", answer.nexthop)
        .add("recipient", answer.recipient)
        .add("class", static_cast<std::int64_t>(answer.address_class));
    if (by_rules)
        message.add("by_rules", "yes");
    return message;
}

Message encode_rewritten(std::string_view address)
{
    Message message(Kind::ok);
    message.add("address", address);
    return message;
}

Result<RewriteRequest> decode_rewrite(const Message& message)
{
    TRY(const auto context, message.text("context"));
    TRY(const auto address, message.text("address"));
    return RewriteRequest{context == "local" ? RewriteContext::local : RewriteContext::remote,
                          std::string(address)};
}

Result<ResolveRequest> decode_resolve(const Message& message)
{
    TRY(const auto sender, message.text("sender"));
    TRY(const auto address, message.text("address"));
    return ResolveRequest{std::string(sender), std::string(address), message.find("probe").has_value()};
}

static Result<Resolved> decode_resolved(const Message& message)
{
    TRY(const auto transport, message.text("transport"));
    TRY(const auto nexthop, message.text("nexthop"));
    TRY(const auto recipient, message.text("recipient"));
    TRY(const auto number, message.number("class"));
    if (number < 0 || number > static_cast<std::int64_t>(AddressClass::error))
        return Error{Fault::malformed, "resolve answer with an unknown class"};
    return Resolved{std::string(transport), std::string(nexthop), std::string(recipient),
                    static_cast<AddressClass>(number)};
}

RewriteClient::RewriteClient(const std::string& service) : service_(service) {}

Task<Result<Message>> RewriteClient::ask(Message request)
{
    std::string key(1, static_cast<char>(request.kind()));
    key += request.body();
    if (const Message* const answer = known(key))
        co_return *answer;
    auto answer = co_await service_.call(request);
    if (!answer)
        co_return Error(Fault::broken, answer.error().context);
    if (answer->kind() != Kind::ok)
        co_return Error(Fault::broken,
                        std::string(answer->find("reason").value_or("address resolver failure")));
    keep(std::move(key), *answer);
    co_return answer;
}

const Message* RewriteClient::known(const std::string& key) const
{
    const auto now = SteadyClock::now();
    for (const Answers* const answers : {&recent_, &earlier_})
        if (const auto found = answers->find(key); found != answers->end() && now < found->second.until)
            return &found->second.answer;
    return nullptr;
}

void RewriteClient::keep(std::string key, const Message& answer)
{
    if (recent_.size() >= max_answers)
        earlier_ = std::exchange(recent_, {});
    recent_.insert_or_assign(std::move(key), Kept{answer, SteadyClock::now() + answer_life});
}

// user@site.domain is what rewriting leads to; most addresses are that already, and
// the question is not worth a trip.
static bool is_complete(std::string_view address)
{
    const auto at = address.rfind('@');
    if (at == address.npos || at + 1 == address.size() || address.starts_with('@'))
        return false;
    const std::string_view domain = address.substr(at + 1);
    return domain.starts_with('[') ? domain.ends_with(']')
                                   : domain.find('.') != domain.npos && !domain.ends_with('.');
}

Task<Result<std::string>> RewriteClient::rewrite(RewriteContext context, std::string address)
{
    if (address.empty() || is_complete(address))
        co_return address;
    if (source_ != nullptr)
        co_return source_->rewrite(context, address);
    const RewriteRequest request{context, std::move(address)};
    CO_TRY(const Message answer, co_await ask(encode(request)));
    const auto text = answer.text("address");
    if (!text)
        co_return Error(Fault::broken, text.error().context);
    co_return std::string(*text);
}

Task<Result<Resolved>> RewriteClient::resolve(std::string sender, std::string address, bool probe)
{
    if (source_ != nullptr && !(probe && rules_ != nullptr))
        co_return source_->resolve(sender, address);
    const ResolveRequest request{std::move(sender), std::move(address), probe};
    CO_TRY(const Message answer, co_await ask(encode(request)));
    auto resolved = decode_resolved(answer);
    if (!resolved)
        co_return Error(Fault::broken, resolved.error().context);
    if (!probe && rules_ != nullptr && answer.find("by_rules")) {
        source_ = rules_.get();
        recent_.clear();
        earlier_.clear();
    }
    co_return resolved;
}

} // namespace bulkhead::ipc
