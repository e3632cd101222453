#include "ipc/verify.h"

#include "async/wait.h"

namespace bulkhead::ipc
{

Message encode_verify_query(std::string_view address)
{
    Message message(Kind::verify_query);
    message.add("address", address);
    return message;
}

static void add(Message& message, const AddressVerdict& verdict)
{
    message.add("state", static_cast<std::int64_t>(verdict.state))
        .add("text", verdict.text)
        .add("dsn", verdict.dsn);
}

Message encode(const AddressVerdict& verdict)
{
    Message message(Kind::ok);
    add(message, verdict);
    return message;
}

Message encode(const VerifyUpdate& update)
{
    Message message(Kind::verify_update);
    message.add("address", update.address);
    add(message, update.verdict);
    return message;
}

Result<std::string> decode_verify_query(const Message& message)
{
    TRY(const auto address, message.text("address"));
    return std::string(address);
}

Result<AddressVerdict> decode_address_verdict(const Message& message)
{
    TRY(const auto state, message.number("state"));
    TRY(const auto text, message.text("text"));
    TRY(const auto dsn, message.text("dsn"));
    if (state < 0 || state > static_cast<std::int64_t>(AddressState::pending))
        return Error{Fault::malformed, "unknown state of an address"};
    return AddressVerdict{static_cast<AddressState>(state), std::string(text), std::string(dsn)};
}

Result<VerifyUpdate> decode_verify_update(const Message& message)
{
    VerifyUpdate update;
    TRY(const auto address, message.text("address"));
    TRY(update.verdict, decode_address_verdict(message));
    update.address = address;
    return update;
}

Task<Result<AddressVerdict>> verify_address(Service& verify, std::string address, int poll_count,
                                            Milliseconds poll_delay)
{
    const Message question = encode_verify_query(address);
    for (int tries = 1;; ++tries) {
        const auto answer = co_await verify.call(question);
        if (!answer)
            co_return Error(Fault::broken, answer.error().context);
        if (answer->kind() != Kind::ok)
            co_return Error(Fault::broken,
                            std::string(answer->find("reason").value_or("verify service failure")));
        CO_TRY(AddressVerdict verdict, decode_address_verdict(*answer));
        if (verdict.state != AddressState::pending || tries >= poll_count)
            co_return std::move(verdict);
        co_await sleep_for(poll_delay);
    }
}

Task<Result<>> report_probe(Service& verify, VerifyUpdate update)
{
    const Message report = encode(update);
    const auto answer = co_await verify.call(report);
    if (!answer)
        co_return Error(Fault::broken, answer.error().context);
    if (answer->kind() != Kind::ok)
        co_return Error(Fault::broken,
                        std::string(answer->find("reason").value_or("verify service refused")));
    co_return Result<>();
}

} // namespace bulkhead::ipc
