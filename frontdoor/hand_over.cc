// How a session of the front door begins, and how it leaves.
#include "dialogue.h"

#include "carrier.h"
#include "client_hello.h"

#include "async/scope.h"
#include "async/socket_ends.h"
#include "base/text.h"
#include "log/log.h"
#include "smtp/proxy_header.h"
#include "table/ask.h"

#include <array>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Where a header may come, but need not: proxies send it with their first packet.
constexpr Milliseconds optional_header_time{1000};

} // namespace

Dialogue::Dialogue(Stream& client, DoorService& service) : stream_(client), service_(service)
{
    stream_.set_timeout(service_.params.timeout());
    if (const auto peer = peer_end(client.fd())) {
        state_.client_address = peer->text();
        state_.client_port = peer->port();
        state_.v6 = peer->is_v6();
    }
    if (const auto here = own_end(client.fd())) {
        state_.server_address = here->text();
        state_.server_port = here->port();
    }
}

void Dialogue::tell_of(const ProxyHeader& header)
{
    if (!header.told)
        return;
    state_.v6 = header.v6;
    state_.client_address = header.client.address;
    state_.client_port = header.client.port;
    state_.server_address = header.server.address;
    state_.server_port = header.server.port;
}

Task<bool> Dialogue::is_one_of(const MatchList& clients)
{
    const std::string address = state_.client_address;
    const auto match = [&] { return static_cast<bool>(clients.match(address)); };
    co_return co_await ask(clients.may_block(), match);
}

// As smtpd does: nothing but the header is taken.
Task<> Dialogue::read_proxy_header()
{
    const bool must = !service_.params.upstream_protocol().empty();
    bool may = must;
    if (!must)
        may = co_await is_one_of(service_.upstream_proxies);
    if (!may)
        co_return;
    std::array<char, proxy_header_limit> room;
    std::string_view bytes;
    std::string problem;
    const Milliseconds time = must ? Milliseconds(service_.params.upstream_timeout()) : optional_header_time;
    stream_.set_deadline(SteadyClock::now() + time);
    for (std::size_t wanted = 1; problem.empty(); wanted = bytes.size() + 1) {
        const auto seen = co_await stream_.see(wanted);
        bytes = seen ? std::string_view(room.data(), stream_.peek(room)) : bytes;
        const auto header = parse_proxy_header(bytes);
        if (!must && (!seen || !may_be_proxy_header(bytes)))
            break;
        if (!seen)
            problem = seen.error().fault == Fault::timeout ? "timeout error" : "unexpected EOF";
        else if (!header)
            problem = header.error().context;
        else if (*header) {
            tell_of(**header);
            (void)stream_.drop_peeked((*header)->size);
            break;
        }
    }
    stream_.clear_deadline();
    if (problem.empty())
        co_return;
    log::warn(fmt::format("haproxy read: {}: {}", problem, printable(bytes.substr(0, 100))));
    (void)stream_.drop_peeked(bytes.size());
    say(Reply(421, "4.3.2", service_.myhostname + " Error: bad or missing PROXY header"));
}

// What is known before anything is said decides before anything is said.
Task<> Dialogue::begin()
{
    co_await read_proxy_header();
    if (closing_)
        co_return;
    bool settled = co_await settle(Step::listener, listener_keys(state_.server_address, state_.server_port),
                                   Stage::greeting, std::string());
    if (!settled && !broken_)
        settled = co_await settle(Step::client, std::vector<std::string>(1, state_.client_address),
                                  Stage::greeting, std::string());
    if (settled)
        co_return;
    const bool is_last = !service_.decisions->has_later_than(Step::client);
    if (is_last && !broken_)
        settled = co_await settle_rest(Stage::greeting, std::string());
    if (settled)
        co_return;
    if (is_last || broken_)
        co_return say(
            Reply(421, "4.3.0", service_.myhostname + " Error: no mail system for this client now"));
    const bool too_often = co_await connects_too_often();
    if (too_often)
        co_return say(Reply(421, "4.7.0",
                            fmt::format("{} Error: too many connections from {}", service_.myhostname,
                                        state_.client_address)));
    may_xclient_ = co_await is_one_of(service_.xclient_hosts);
    if (!stream_.arrived().empty()) {
        log::info(fmt::format("improper command pipelining after CONNECT from {}", label()));
        stream_.discard_input();
    }
    say(Reply(220, service_.params.banner()));
}

Task<bool> Dialogue::connects_too_often()
{
    const int limit = service_.params.connection_count_limit();
    if (limit == 0)
        co_return false;
    const bool excepted = co_await is_one_of(service_.unlimited_clients);
    if (excepted)
        co_return false;
    counted_as_ = fmt::format("{}:{}", service_.name, state_.client_address);
    ipc::ClientReport report;
    report.event = ipc::ClientEvent::connect;
    report.client = counted_as_;
    const auto counts = co_await service_.anvil.report(std::move(report));
    if (!counts || counts->connections <= limit)
        co_return false; // one that cannot count serves on
    log::warn(fmt::format("Connection concurrency limit exceeded: {} from {} for service {}",
                          counts->connections, label(), service_.name));
    co_return true;
}

Task<> Dialogue::end_counting()
{
    if (counted_as_.empty())
        co_return;
    ipc::ClientReport report;
    report.event = ipc::ClientEvent::disconnect;
    report.client = counted_as_;
    (void)co_await service_.anvil.report(std::move(report));
}

// STARTTLS (RFC 3207): whoever is chosen by the server name makes the handshake itself.
Task<Reply> Dialogue::starttls(std::string_view arguments)
{
    if (!arguments.empty())
        co_return Reply(501, "5.5.4", "Syntax: STARTTLS");
    if (stream_.is_upgraded())
        co_return Reply(554, "5.5.1", "Error: TLS already active");
    if (!offers_starttls())
        co_return Reply(502, "5.5.1", "Error: command not implemented");
    say(Reply(220, "2.0.0", "Ready to start TLS"));
    const auto sent = co_await stream_.flush();
    if (!sent) {
        end_with(sent.error());
        co_return Reply();
    }
    // Nothing that was said in clear is known any more (RFC 3207, 4.2).
    stream_.discard_input();
    state_.answered = claims_;
    greeted_ = in_mail_ = extended_ = false;
    bool settled = false;
    if (service_.decisions->has(Step::server_name))
        settled = co_await choose_by_server_name();
    if (settled || closing_)
        co_return Reply();
    if (service_.tls) {
        co_await shake_hands();
        co_return Reply();
    }
    settled = co_await settle_rest(Stage::handshake, std::string());
    if (!settled) {
        log::info(fmt::format("no environment for the TLS session of {}", label()));
        closing_ = gone_ = true;
    }
    co_return Reply();
}

Task<bool> Dialogue::choose_by_server_name()
{
    std::string room(client_hello_limit, '\0');
    std::optional<std::string> name;
    stream_.set_deadline(SteadyClock::now() + service_.params.starttls_timeout());
    for (std::size_t size = 0; !name;) {
        const auto seen = co_await stream_.see(size + 1);
        size = seen ? stream_.peek(room) : 0;
        auto found = server_name_in(std::string_view(room).substr(0, size));
        const bool endless = size == room.size();
        if (!seen || !found || (endless && !*found)) {
            const std::string why = !seen    ? seen.error().context
                                    : !found ? found.error().context
                                             : "client hello is too long";
            log::info(fmt::format("SSL_accept error from {}: {}", label(), why));
            closing_ = gone_ = true;
            co_return false;
        }
        name = *std::move(found);
    }
    stream_.clear_deadline();
    if (name->empty())
        co_return false;
    const bool settled =
        co_await settle(Step::server_name, server_name_keys(*name), Stage::handshake, std::string());
    if (broken_)
        closing_ = gone_ = true; // there is no way to tell this client
    co_return settled;
}

Task<> Dialogue::shake_hands()
{
    stream_.set_timeout(service_.params.starttls_timeout());
    auto made = service_.tls->accept(stream_.fd());
    const tls::Connection& connection = *made;
    stream_.upgrade(std::move(made));
    const auto shaken = co_await stream_.handshake();
    stream_.set_timeout(service_.params.timeout());
    if (shaken) {
        state_.tls = connection.facts();
        co_return;
    }
    log::info(fmt::format("SSL_accept error from {}: {}", label(), shaken.error().context));
    closing_ = gone_ = true;
}

Task<bool> Dialogue::settle(Step step, std::vector<std::string> keys, Stage stage, std::string pending)
{
    broken_ = false;
    const Choice choice = co_await service_.decisions->decide(step, std::move(keys));
    broken_ = choice.kind == Choice::Kind::broken;
    if (choice.kind != Choice::Kind::chosen)
        co_return false;
    co_await give(choice.environment, name_of(step), stage, std::move(pending));
    co_return true;
}

// At the last step: what no table knows.
Task<bool> Dialogue::settle_rest(Stage stage, std::string pending)
{
    const Choice choice = service_.decisions->fallback();
    if (choice.kind != Choice::Kind::chosen)
        co_return false;
    co_await give(choice.environment, "default", stage, std::move(pending));
    co_return true;
}

// pending: the command that the environment is to answer.
Task<> Dialogue::give(std::string environment, std::string_view why, Stage stage, std::string pending)
{
    const auto sent = co_await stream_.flush(); // what was said here stands in front
    if (!sent)
        co_return end_with(sent.error());
    closing_ = true;
    ipc::SessionState state = state_;
    state.stage = stage;
    if (stage == Stage::reply) {
        pending += "\r\n";
        pending += stream_.buffered();
        state.unread = pending;
        ::explicit_bzero(pending.data(), pending.size());
        stream_.wipe_input();
    }
    SocketPair pair;
    if (stream_.is_upgraded())
        pair = make_socket_pair();
    const int client = stream_.is_upgraded() ? pair.theirs.get() : stream_.fd();
    Result<std::unique_ptr<Stream>> channel = Error(Fault::limit, "no descriptor is left for it");
    if (client >= 0)
        channel = co_await service_.environments->give(environment, std::move(state), client);
    if (!channel) {
        const std::string& reason = channel.error().context;
        log::warn(fmt::format("{} is not handed over to environment {} (by {}): {}", label(), environment,
                              why, reason));
        if (stage != Stage::handshake)
            say(Reply(421, "4.3.2",
                      fmt::format("{} Error: the mail system for this session is not available: {}",
                                  service_.myhostname, reason)));
        co_return;
    }
    gone_ = true;
    log::info(fmt::format("{}: handed over to environment {} by {}", label(), environment, why));
    given_to_ = std::move(environment);
    if (!state_.recipient.empty())
        giver_end_ = *std::move(channel);
    if (stream_.is_upgraded())
        carried_ = std::move(pair.ours);
    else
        stream_.let_go();
}

// What there is to do for a session that another process has.
Task<> Dialogue::stay_behind()
{
    state_ = ipc::SessionState();
    claims_.clear();
    Scope rest;
    if (giver_end_)
        rest.spawn(answer_questions, this);
    if (carried_)
        rest.spawn(carry, &stream_, std::move(carried_));
    co_await rest.empty();
}

// Whose other recipients are, while the environment has the session.
Task<> Dialogue::answer_questions(Dialogue* self)
{
    Decisions& decisions = *self->service_.decisions;
    Stream* const channel = self->giver_end_.get();
    for (;;) {
        const auto message = co_await ipc::receive(*channel);
        if (!message)
            co_return;
        const auto address = ipc::decode_owner_question(*message);
        if (!address)
            co_return;
        const Choice known = co_await decisions.decide(Step::recipient, address_keys(*address));
        const Choice choice = known.kind == Choice::Kind::none ? decisions.fallback() : known;
        const bool here = choice.kind == Choice::Kind::chosen && choice.environment == self->given_to_;
        const auto owner = choice.kind == Choice::Kind::broken ? ipc::RecipientOwner::unknown
                           : here                              ? ipc::RecipientOwner::here
                                                               : ipc::RecipientOwner::elsewhere;
        const ipc::Message answer = ipc::encode(owner);
        const auto sent = co_await ipc::send(*channel, answer);
        if (!sent)
            co_return;
    }
}

} // namespace bulkhead
