#include "decision.h"

#include "base/text.h"
#include "config/front_door.h"
#include "log/log.h"
#include "table/ask.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t longest_name = 64;
constexpr std::array<std::string_view, steps> step_names = {"listener", "client", "server name",
                                                            "login",    "sender", "recipient"};

bool is_environment_name(std::string_view name)
{
    return !name.empty() && name.size() <= longest_name && !name.starts_with('.') &&
           std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~' && c != '/'; });
}

} // namespace

std::string_view name_of(Step step)
{
    return step_names[static_cast<std::size_t>(step)];
}

std::vector<std::string> listener_keys(std::string_view address, std::uint16_t port)
{
    return {fmt::format("{}:{}", address, port), std::string(address)};
}

// "IPV6:2001:db8::1" in XCLIENT.
std::vector<std::string> client_keys(std::string_view address)
{
    constexpr std::string_view tag = "IPV6:";
    return {std::string(starts_with_ignoring_case(address, tag) ? address.substr(tag.size()) : address)};
}

std::vector<std::string> server_name_keys(std::string_view host)
{
    std::vector<std::string> keys;
    for (std::size_t at = 0; at != host.npos; at = host.find('.', at + 1))
        keys.emplace_back(host.substr(at));
    return keys;
}

std::vector<std::string> login_keys(std::string_view login)
{
    std::vector<std::string> keys{std::string(login)};
    const auto at = login.rfind('@');
    if (at == login.npos)
        return keys;
    keys.emplace_back(login.substr(at));
    keys.emplace_back(login.substr(0, at));
    return keys;
}

std::vector<std::string> address_keys(std::string_view address)
{
    if (address.empty())
        return {"<>"};
    std::vector<std::string> keys{std::string(address)};
    const auto at = address.rfind('@');
    if (at != address.npos && at + 1 < address.size())
        keys.emplace_back(address.substr(at + 1));
    return keys;
}

Decisions::Decisions(const FrontDoorParams& params)
    : own_name_(params.name()), fallback_(params.default_environment())
{
    const std::array<const Param<std::string>*, steps> lists = {
        &params.listener_maps, &params.client_maps, &params.sni_maps,
        &params.login_maps,    &params.sender_maps, &params.recipient_maps};
    for (std::size_t i = 0; i < steps; ++i) {
        TableOptions options;
        options.parameter = lists[i]->name();
        tables_[i] = TableList::open((*lists[i])(), options);
    }
}

bool Decisions::has_later_than(Step step) const
{
    return std::ranges::any_of(tables_.begin() + static_cast<std::ptrdiff_t>(index(step)) + 1, tables_.end(),
                               [](const TableList& list) { return !list.empty(); });
}

bool Decisions::is_stale() const
{
    return std::ranges::any_of(tables_, [](const TableList& list) { return list.is_stale(); });
}

Choice Decisions::chosen(std::string_view name) const
{
    Choice choice(Choice::Kind::chosen);
    choice.environment = name == own_name_ ? primary_name : name;
    return choice;
}

Choice Decisions::fallback() const
{
    return fallback_.empty() ? Choice(Choice::Kind::none) : chosen(fallback_);
}

Task<Choice> Decisions::decide(Step step, std::vector<std::string> keys)
{
    TableList& list = tables_[index(step)];
    const auto find = [&] {
        for (std::size_t i = 0; i < keys.size(); ++i) {
            // Patterns are for whole names; "address" behind "address:port" is one.
            Lookup answer = list.find(keys[i], i > 0 && step != Step::listener);
            if (!answer.is_absent())
                return answer;
        }
        return Lookup::absent();
    };
    if (list.empty() || keys.empty())
        co_return Choice(Choice::Kind::none);
    const Lookup answer = co_await ask(list.may_block(), find);
    if (answer.is_absent())
        co_return Choice(Choice::Kind::none);
    if (answer.is_broken()) {
        log::warn(fmt::format("{} {}: {}", name_of(step), printable(keys[0], true), answer.reason()));
        co_return Choice(Choice::Kind::broken);
    }
    const std::string_view name = trim(answer.value());
    if (!is_environment_name(name)) {
        log::warn(fmt::format("{} {}: \"{}\" is no environment's name", name_of(step),
                              printable(keys[0], true), printable(name, true)));
        co_return Choice(Choice::Kind::broken);
    }
    co_return chosen(name);
}

} // namespace bulkhead
