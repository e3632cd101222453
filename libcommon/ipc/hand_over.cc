#include "ipc/hand_over.h"

#include "async/address.h"
#include "os/files.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead::ipc
{

namespace
{

// A giver has everything at hand before it connects.
constexpr Milliseconds giving_time{5000};
constexpr Milliseconds question_time{10'000};

struct TextFact {
    std::string_view name;
    std::string tls::Facts::* value;
};
constexpr std::array<TextFact, 13> text_facts = {{
    {"tls_protocol", &tls::Facts::protocol},
    {"tls_cipher", &tls::Facts::cipher},
    {"tls_key_exchange", &tls::Facts::key_exchange},
    {"tls_server_signature", &tls::Facts::server_signature},
    {"tls_server_digest", &tls::Facts::server_digest},
    {"tls_client_signature", &tls::Facts::client_signature},
    {"tls_client_digest", &tls::Facts::client_digest},
    {"tls_server_name", &tls::Facts::server_name},
    {"tls_trust_problem", &tls::Facts::trust_problem},
    {"tls_common_name", &tls::Facts::common_name},
    {"tls_issuer", &tls::Facts::issuer},
    {"tls_certificate", &tls::Facts::certificate_fingerprint},
    {"tls_key", &tls::Facts::key_fingerprint},
}};

struct NumberFact {
    std::string_view name;
    int tls::Facts::* value;
};
constexpr std::array<NumberFact, 2> number_facts = {{
    {"tls_used_bits", &tls::Facts::used_bits},
    {"tls_cipher_bits", &tls::Facts::cipher_bits},
}};

struct Claim {
    std::string_view name;
    bool tls::Facts::* value;
};
constexpr std::array<Claim, 3> claims = {{
    {"tls_resumed", &tls::Facts::resumed},
    {"tls_has_certificate", &tls::Facts::has_certificate},
    {"tls_trusted", &tls::Facts::trusted},
}};

Error malformed(std::string_view what)
{
    return Error(Fault::malformed, fmt::format("session with a bad {}", what));
}

Result<std::int64_t> number_within(const Message& message, std::string_view name, std::int64_t most)
{
    TRY(const std::int64_t number, message.number(name));
    if (number < 0 || number > most)
        return malformed(name);
    return number;
}

Result<std::string> text_within(const Message& message, std::string_view name, std::size_t most)
{
    TRY(const std::string_view text, message.text(name));
    if (text.size() > most)
        return malformed(name);
    return std::string(text);
}

// They become parts of log lines and headers.
Result<std::string> plain_text(const Message& message, std::string_view name, std::size_t most)
{
    TRY(std::string text, text_within(message, name, most));
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }))
        return malformed(name);
    return text;
}

Result<std::string> address_in(const Message& message, std::string_view name)
{
    TRY(std::string text, text_within(message, name, 64));
    if (!text.empty() && !SocketAddress::parse(text))
        return malformed(name);
    return text;
}

Result<tls::Facts> decode_facts(const Message& message)
{
    constexpr std::size_t longest_fact = 1024;
    tls::Facts facts;
    for (const TextFact& fact : text_facts) {
        TRY(facts.*fact.value, plain_text(message, fact.name, longest_fact));
    }
    for (const NumberFact& fact : number_facts) {
        TRY(const std::int64_t number, number_within(message, fact.name, 100'000));
        facts.*fact.value = static_cast<int>(number);
    }
    for (const Claim& claim : claims) {
        TRY(const std::int64_t number, number_within(message, claim.name, 1));
        facts.*claim.value = number == 1;
    }
    return facts;
}

void wipe_text(std::string& text)
{
    text.resize(text.capacity());
    ::explicit_bzero(text.data(), text.size());
    text.clear();
}

bool is_closed(int fd)
{
    char byte = 0;
    return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

} // namespace

void SessionState::wipe()
{
    wipe_text(unread);
}

Message encode(const SessionState& state)
{
    Message message(Kind::session);
    message.add("stage", static_cast<std::int64_t>(state.stage))
        .add("client_address", state.client_address)
        .add("server_address", state.server_address)
        .add("client_port", std::int64_t{state.client_port})
        .add("server_port", std::int64_t{state.server_port})
        .add("v6", std::int64_t{state.v6})
        .add("recipient", state.recipient)
        .add("unread", state.unread)
        .add("tls", std::int64_t{state.tls.has_value()});
    for (const std::string& command : state.answered)
        message.add("answered", command);
    if (!state.tls)
        return message;
    for (const TextFact& fact : text_facts)
        message.add(fact.name, (*state.tls).*fact.value);
    for (const NumberFact& fact : number_facts)
        message.add(fact.name, std::int64_t{(*state.tls).*fact.value});
    for (const Claim& claim : claims)
        message.add(claim.name, std::int64_t{(*state.tls).*claim.value});
    return message;
}

Result<SessionState> decode_session(const Message& message)
{
    constexpr std::size_t longest_recipient = 4096;
    SessionState state;
    TRY(const std::int64_t stage, number_within(message, "stage", 2));
    state.stage = static_cast<SessionState::Stage>(stage);
    TRY(state.client_address, address_in(message, "client_address"));
    TRY(state.server_address, address_in(message, "server_address"));
    TRY(const std::int64_t client_port, number_within(message, "client_port", 65535));
    TRY(const std::int64_t server_port, number_within(message, "server_port", 65535));
    state.client_port = static_cast<std::uint16_t>(client_port);
    state.server_port = static_cast<std::uint16_t>(server_port);
    TRY(const std::int64_t v6, number_within(message, "v6", 1));
    state.v6 = v6 == 1;
    TRY(state.recipient, plain_text(message, "recipient", longest_recipient));
    TRY(state.unread, text_within(message, "unread", max_unread));
    if (state.stage == SessionState::Stage::reply && state.unread.find('\n') == std::string::npos)
        return malformed("unread: no command");
    Message::Walk walk = message.walk();
    while (const auto attribute = walk.next()) {
        if (attribute->name != "answered")
            continue;
        if (state.answered.size() >= max_answered || attribute->value.size() > max_answered_size ||
            attribute->value.find_first_of("\r\n") != std::string_view::npos)
            return malformed("answered");
        state.answered.emplace_back(attribute->value);
    }
    TRY(const std::int64_t encrypted, number_within(message, "tls", 1));
    if (encrypted == 1) {
        TRY(state.tls, decode_facts(message));
    }
    return state;
}

Task<Result<std::unique_ptr<Stream>>> hand_over(std::string path, SessionState state, int client,
                                                Milliseconds timeout)
{
    Message message = encode(state);
    state.wipe();
    auto fd = connect_unix(path);
    if (!fd) {
        const bool absent = fd.error().number == ENOENT || fd.error().number == ECONNREFUSED;
        const Fault fault = absent ? Fault::not_found : Fault::limit;
        co_return Error(fault, absent ? "it does not run" : fd.error().context, fd.error().number);
    }
    auto channel = std::make_unique<Stream>(*std::move(fd));
    channel->set_deadline(SteadyClock::now() + timeout);
    channel->attach_descriptors(std::vector<int>(1, client));
    channel->hide_output();
    message.encode(channel->output());
    std::string body = std::move(message).take_body();
    wipe_text(body);
    const auto sent = co_await channel->flush();
    if (!sent)
        co_return Error(sent.error().fault, "it does not take sessions: " + sent.error().context);
    const auto answer = co_await receive(*channel);
    if (!answer && answer.error().fault == Fault::timeout)
        co_return Error(Fault::timeout, fmt::format("no answer within {} s", timeout.count() / 1000));
    if (!answer)
        co_return Error(answer.error().fault, "it does not answer: " + answer.error().context);
    if (answer->kind() != Kind::ok)
        co_return Error(Fault::refused, std::string(answer->find("reason").value_or("refused")));
    channel->clear_deadline();
    co_return std::move(channel);
}

Task<Result<TakenSession>> take_over(Stream& channel)
{
    channel.set_deadline(SteadyClock::now() + giving_time);
    channel.accept_descriptors(1);
    auto message = co_await receive(channel);
    channel.clear_deadline();
    if (!message)
        co_return message.error();
    if (message->kind() != Kind::session)
        co_return Error(Fault::malformed, "no session");
    auto state = decode_session(*message);
    std::string body = std::move(*message).take_body();
    wipe_text(body);
    auto descriptors = channel.take_descriptors();
    std::string problem = state ? std::string() : state.error().context;
    if (descriptors.empty())
        problem = "session without a descriptor";
    // A giver that has lost patience has told the client so.
    if (is_closed(channel.fd()))
        co_return Error(Fault::closed, "the giver has gone");
    const Message answer = problem.empty() ? Message(Kind::ok) : failure(problem);
    const auto said = co_await send(channel, answer);
    if (!problem.empty())
        co_return Error(Fault::malformed, problem);
    if (!said)
        co_return said.error();
    auto kept = std::make_unique<SessionState>(*std::move(state));
    TakenSession taken{std::move(descriptors.front()), std::move(kept)};
    co_return std::move(taken);
}

Task<RecipientOwner> ask_owner(Stream& channel, std::string recipient)
{
    Message question(Kind::recipient_owner);
    question.add("address", recipient);
    channel.set_deadline(SteadyClock::now() + question_time);
    const auto sent = co_await send(channel, question);
    if (!sent)
        co_return RecipientOwner::unknown;
    const auto answer = co_await receive(channel);
    channel.clear_deadline();
    if (!answer || answer->kind() != Kind::ok)
        co_return RecipientOwner::unknown;
    co_return answer->find("here") == "1" ? RecipientOwner::here : RecipientOwner::elsewhere;
}

Result<std::string> decode_owner_question(const Message& message)
{
    if (message.kind() != Kind::recipient_owner)
        return Error(Fault::malformed, "not a question for a recipient's owner");
    TRY(const std::string_view address, message.text("address"));
    return std::string(address);
}

Message encode(RecipientOwner answer)
{
    if (answer == RecipientOwner::unknown)
        return failure("cannot tell");
    Message message(Kind::ok);
    message.add("here", std::int64_t{answer == RecipientOwner::here});
    return message;
}

} // namespace bulkhead::ipc
