#include "deliver.h"

#include "async/connect.h"
#include "async/socket_ends.h"
#include "base/text.h"
#include "dns/resolver.h"
#include "log/log.h"
#include "os/files.h"
#include "smtp/proxy_header.h"
#include "table/ask.h"
#include "table/local_domains.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

namespace
{

// How long a connection may hang while there are addresses of the other IP version: long enough
// for one lost packet (RFC 6298, 2.1), short enough for nobody to notice.
constexpr Milliseconds version_patience{1500};

// Bytes that would end a command or start another one.
bool is_safe_in_commands(std::string_view address)
{
    return std::ranges::none_of(address,
                                [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

} // namespace

// Where distributions keep the root's key; empty: nowhere.
static std::string root_trust_anchor()
{
    for (const char* path : {"/var/lib/unbound/root.key", "/usr/share/dns/root.key", "/etc/unbound/root.key"})
        if (::access(path, R_OK) == 0)
            return path;
    log::warn("smtp_dns_support_level = dnssec, but the root's trust anchor is not installed");
    return {};
}

struct SmtpAgent::Opened {
    std::unique_ptr<SmtpSession> session;
    std::optional<DeliveryStatus> failure;
    bool hung = false; // the server's address does not answer at all
};

// What is known about one request while hosts are tried.
struct SmtpAgent::Attempt {
    explicit Attempt(Delivery& d) : delivery(d), last(d.request().recipients.size()) {}

    Delivery& delivery;
    std::vector<std::optional<DeliveryStatus>> last; // the newest "try again" of a recipient
    std::optional<DeliveryStatus> failure;           // of the hosts: the newest one
    std::vector<Peer> spoken_to;

    bool has_spoken_to(const Peer& peer) const
    {
        return std::ranges::any_of(spoken_to, [&](const Peer& one) { return one.is_same_server(peer); });
    }
    int sessions = 0;         // with a complete handshake
    Milliseconds patience{0}; // with the connection that is to be made; 0: the system's
    bool hung = false;        // that was not enough
    bool reached = false;     // a server has answered about the message

    bool done() const { return delivery.all_settled(); }
};

SmtpAgent::SmtpAgent(Protocol protocol) : params_(protocol) {}
SmtpAgent::~SmtpAgent() = default;

JailPolicy SmtpAgent::jail_policy() const
{
    JailPolicy policy;
    policy.network = true;
    return policy;
}

Result<> SmtpAgent::before_jail()
{
    TRY_VOID(DeliveryAgent::before_jail());
    for (const std::string& fault : services_.add_known(params_.known_ports()))
        log::warn(fault);
    services_.add_services(read_file("/etc/services").value_or(std::string{}));
    if (!services_.find(params_.tcp_port()))
        return Error{Fault::config,
                     fmt::format("{}: unknown service \"{}\"", params_.tcp_port.name(), params_.tcp_port())};
    dns::ResolverOptions resolver_options;
    if (equals_ignoring_case(params_.dns_support_level(), "dnssec"))
        resolver_options.trust_anchor_file =
            params_.trust_anchor_file().empty() ? root_trust_anchor() : params_.trust_anchor_file();
    TRY(resolver_, dns::Resolver::open(resolver_options));
    TRY(tls_, ClientTls::open(params_.tls, resolver_.get()));
    // Postfix's default is "no", for want of a way to do it without one more process.
    if (config().has_user_setting(params_.tls.reuse.name()))
        tls_->keep_connections(params_.tls.reuse());
    LocalDomains::Settings own;
    own.inet_interfaces = config().get_list("inet_interfaces");
    own.proxy_interfaces = config().get_list("proxy_interfaces");
    TRY(LocalDomains addresses, LocalDomains::open(own));
    own_addresses_ = std::make_unique<LocalDomains>(std::move(addresses));
    const LocalDomains& ours = *own_addresses_;
    const auto is_own = [&ours](const SocketAddress& address) {
        return static_cast<bool>(ours.contains(fmt::format("[{}]", address.text())));
    };
    TRY(HostFinder finder, HostFinder::open(params_, resolver_.get(), common().myhostname(), is_own));
    finder_.emplace(std::move(finder));
    TRY(sasl_, ClientSasl::open(params_.sasl));
    TRY(SessionNotices notices,
        SessionNotices::open(params_, common().myhostname(), common().mail_name(), common().ipc_timeout()));
    notices_.emplace(std::move(notices));
    TRY(output_, OutputPolicy::open(params_));
    discards_ = TableList::open(params_.discard_maps());
    pix_workarounds_ = TableList::open(params_.pix_maps());
    replies_ = TableList::open(params_.reply_filter());
    ListOptions debugged;
    debugged.kind = ListKind::hosts;
    debugged.parameter = params_.debug_peers.name();
    debugged.parent_matches_subdomains =
        std::ranges::find(params_.parent_domains(), debugged.parameter) != params_.parent_domains().end();
    TRY(debug_peers_, MatchList::open(params_.debug_peers(), debugged));
    if (params_.verify_target() != "rcpt" && params_.verify_target() != verify_until_data)
        return Error{Fault::config, fmt::format("{}: bad value \"{}\"", params_.verify_target.name(),
                                                params_.verify_target())};
    const std::string& header = params_.proxy_header();
    if (!header.empty() && header != "v1" && header != "v2")
        return Error{Fault::config, fmt::format("{}: bad value \"{}\"", params_.proxy_header.name(), header)};
    return choose_local_addresses();
}

// smtp_bind_address, else the only address in inet_interfaces, if it is one that the
// rest of the world can answer to.
Result<> SmtpAgent::choose_local_addresses()
{
    const auto configured = [](const char* name, const std::string& text,
                               bool v6) -> Result<std::optional<SocketAddress>> {
        if (text.empty())
            return std::optional<SocketAddress>{};
        const auto address = SocketAddress::parse(
            text.starts_with('[') && text.ends_with(']') ? text.substr(1, text.size() - 2) : text);
        if (!address || address->is_v6() != v6)
            return Error{Fault::config, fmt::format("{}: bad address \"{}\"", name, text)};
        return address;
    };
    TRY(local_v4_, configured("smtp_bind_address", params_.bind_address(), false));
    TRY(local_v6_, configured("smtp_bind_address6", params_.bind_address6(), true));
    const auto interfaces = config().get_list("inet_interfaces");
    if (interfaces.size() != 1)
        return {};
    const auto only = SocketAddress::parse(interfaces.front());
    if (!only || only->is_loopback())
        return {};
    auto& chosen = only->is_v6() ? local_v6_ : local_v4_;
    if (!chosen)
        chosen = only;
    return {};
}

// How often the sources of tables and keys are looked at.
constexpr Seconds change_check_interval{1};

void SmtpAgent::hand_over_if_stale()
{
    const SteadyTime now = SteadyClock::now();
    if (is_draining() || now - changes_checked_ < change_check_interval)
        return;
    changes_checked_ = now;
    const bool tls = tls_->is_stale();
    if (!tls && !sasl_->is_stale() && !discards_.is_stale() && !output_.is_stale() &&
        !pix_workarounds_.is_stale() && !replies_.is_stale() && !debug_peers_.is_stale() &&
        !finder_->is_stale() && !is_status_filter_stale())
        return;
    log::info(tls ? "TLS table or key has changed -- restarting" : "table has changed -- restarting");
    retire();
}

Task<> SmtpAgent::deliver(Delivery& delivery)
{
    hand_over_if_stale();
    co_await refuse_unsafe_addresses(delivery);
    Attempt attempt(delivery);
    std::vector<std::string> nexthops = split_nexthops(delivery.request().nexthop);
    const auto& fallback = params_.fallback_relay();
    nexthops.insert(nexthops.end(), fallback.begin(), fallback.end());
    for (const std::string& nexthop : nexthops) {
        if (attempt.done())
            break;
        co_await try_nexthop(attempt, nexthop);
    }
    if (attempt.done())
        co_return;

    if (!attempt.failure)
        attempt.failure = DeliveryStatus(DeliveryOutcome::deferred, "4.3.5", "no next hop");
    if (!attempt.reached && attempt.failure->outcome == DeliveryOutcome::deferred)
        delivery.site_trouble(attempt.failure->dsn, attempt.failure->reason);
    for (std::size_t i = 0; i < attempt.last.size(); ++i) {
        if (delivery.is_settled(i))
            continue;
        DeliveryStatus status = attempt.last[i] ? *attempt.last[i] : *attempt.failure;
        co_await delivery.settle(i, std::move(status));
    }
}

Task<> SmtpAgent::refuse_unsafe_addresses(Delivery& delivery)
{
    const ipc::DeliveryRequest& request = delivery.request();
    const bool bad_sender = !is_safe_in_commands(request.sender);
    for (std::size_t i = 0; i < request.recipients.size(); ++i) {
        if (delivery.is_settled(i) || (!bad_sender && is_safe_in_commands(request.recipients[i].address)))
            continue;
        const DeliveryStatus status(DeliveryOutcome::bounced, bad_sender ? "5.1.7" : "5.1.3",
                                    "control character in address");
        co_await delivery.settle(i, status);
    }
}

Task<> SmtpAgent::try_nexthop(Attempt& attempt, std::string text)
{
    const auto parse = params_.is_lmtp() ? parse_lmtp_nexthop : parse_nexthop;
    const auto nexthop = parse(text, services_, params_.tcp_port());
    if (!nexthop) {
        attempt.failure = DeliveryStatus(DeliveryOutcome::bounced, "5.4.4", nexthop.error().context);
        co_return;
    }
    const auto plan_tls = [&] { return tls_->plan_for(text); };
    PlannedTls planned = co_await ask(tls_->may_block(), plan_tls);
    if (planned.failure) {
        attempt.failure = std::move(planned.failure);
        co_return;
    }
    if (!sasl_->depends_on_sender())
        co_await try_kept_sessions(attempt, text);
    if (attempt.done())
        co_return;
    HostList found = co_await finder_->find(*nexthop);
    if (found.loops && !params_.best_mx_transport().empty())
        co_return co_await pass_to_best_mx(attempt.delivery, *nexthop);
    if (found.failure) {
        attempt.failure = std::move(found.failure);
        co_return;
    }
    const Milliseconds patience = params_.connect_timeout();
    std::vector<Host> hung;
    for (std::size_t i = 0; i < found.hosts.size() && !is_enough(attempt); ++i) {
        const Host& host = found.hosts[i];
        if (attempt.has_spoken_to(host.peer))
            continue;
        const bool hasty = has_other_version_behind(found.hosts, i) &&
                           (patience.count() == 0 || patience > version_patience);
        attempt.patience = hasty ? version_patience : patience;
        attempt.hung = false;
        co_await try_host(attempt, *nexthop, text, planned.plan, host);
        if (hasty && attempt.hung)
            hung.push_back(host);
    }
    attempt.patience = patience;
    for (const Host& host : hung)
        if (!is_enough(attempt))
            co_await try_host(attempt, *nexthop, text, planned.plan, host);
}

bool SmtpAgent::is_enough(const Attempt& attempt) const
{
    const int limit = params_.session_limit();
    return attempt.done() || (limit > 0 && attempt.sessions >= limit);
}

Task<> SmtpAgent::try_kept_sessions(Attempt& attempt, const std::string& text)
{
    for (bool stale = true; stale;) {
        auto session = pool_.take_for_nexthop(text);
        if (!session)
            co_return;
        stale = co_await transact(attempt, std::move(session), text);
    }
}

// At level may a server with broken TLS gets the mail all the same, once it has waited.
bool SmtpAgent::may_fall_back_to_clear(const ipc::DeliveryRequest& request, const TlsPlan& plan) const
{
    return plan.level == tls::Level::may && !plan.wrapper &&
           request.active_since.seconds - request.arrival.seconds >= params_.minimal_backoff().count();
}

Task<> SmtpAgent::try_host(Attempt& attempt, const Nexthop& nexthop, const std::string& text, TlsPlan plan,
                           Host host)
{
    Peer& peer = host.peer;
    attempt.spoken_to.push_back(peer);
    auto unready = co_await tls_->prepare(plan, nexthop.name, host);
    if (unready) {
        attempt.failure = std::move(unready);
        co_return;
    }
    const std::string& sender = attempt.delivery.request().sender;
    const auto plan_login = [&] {
        return sasl_->is_enabled() ? sasl_->plan_for(sender, peer.name, text) : PlannedLogin();
    };
    PlannedLogin planned = co_await ask(sasl_->may_block(), plan_login);
    if (planned.failure) {
        attempt.failure = std::move(planned.failure);
        co_return;
    }
    auto refusal = co_await sasl_->known_refusal(planned.plan, peer);
    if (refusal) {
        attempt.failure = std::move(refusal);
        if (attempt.failure->outcome == DeliveryOutcome::bounced)
            co_await attempt.delivery.settle_rest(*attempt.failure);
        co_return;
    }
    const std::string tls_key = plan.level == tls::Level::none ? std::string() : plan.key();
    const std::string plan_key = SmtpSession::session_key(tls_key, planned.plan);
    for (bool stale = true; stale;) {
        auto session = pool_.take_for_peer(peer, plan_key);
        if (!session)
            break;
        stale = co_await transact(attempt, std::move(session), text);
        if (!stale)
            co_return;
    }
    const bool may_retry = may_fall_back_to_clear(attempt.delivery.request(), plan);
    const Peer again = peer;
    const ipc::DeliveryRequest& request = attempt.delivery.request();
    Opened opened = co_await open_session(request, nexthop, std::move(plan), planned.plan, std::move(peer),
                                          attempt.patience);
    attempt.hung = opened.hung;
    if (opened.failure && opened.session && opened.session->handshake_failed() && may_retry) {
        TlsPlan clear;
        opened =
            co_await open_session(request, nexthop, std::move(clear), planned.plan, again, attempt.patience);
    }
    if (!opened.failure) {
        (void)co_await transact(attempt, std::move(opened.session), text);
        co_return;
    }
    if (opened.session) {
        if (opened.session->refused_login())
            sasl_->note_refusal(planned.plan, again, *opened.session->refused_login());
        co_await notices_->send(request, *opened.session);
        pool_.dismiss(std::move(opened.session));
    }
    attempt.failure = std::move(opened.failure);
    // A server that says no for good has spoken for its domain.
    if (attempt.failure->outcome == DeliveryOutcome::bounced)
        co_await attempt.delivery.settle_rest(*attempt.failure);
}

// What the tables by server address say.
Task<Result<SessionHabits>> SmtpAgent::habits_of(Peer peer, const ipc::DeliveryRequest& request)
{
    SessionHabits habits;
    habits.discarded = params_.discard_ehlo_keywords();
    habits.pix_workarounds = params_.pix_workarounds();
    habits.may_be_pix =
        request.active_since.seconds - request.arrival.seconds >= params_.pix_threshold().count();
    habits.replies = replies_.empty() ? nullptr : &replies_;
    const std::string address = peer.path.empty() ? peer.address.text() : peer.path;
    for (auto& [tables, words] :
         {std::pair(&discards_, &habits.discarded), std::pair(&pix_workarounds_, &habits.pix_workarounds)}) {
        const auto look_up = [&] { return tables->find(address); };
        const Lookup found = co_await ask(tables->may_block(), look_up);
        if (found.is_broken())
            co_return Error(Fault::broken, found.reason());
        if (!found.is_found())
            continue;
        words->clear();
        for (const std::string_view word : split(found.value(), ", \t\r\n"))
            words->emplace_back(word);
    }
    co_return habits;
}

Task<SmtpAgent::Opened> SmtpAgent::open_session(const ipc::DeliveryRequest& request, const Nexthop& nexthop,
                                                TlsPlan plan, LoginPlan login, Peer peer,
                                                Milliseconds patience)
{
    Opened opened;
    auto habits = co_await habits_of(peer, request);
    if (!habits) {
        opened.failure = DeliveryStatus(DeliveryOutcome::deferred, "4.3.0",
                                        "table lookup failure: " + habits.error().context);
        co_return opened;
    }
    const int trace_level = co_await trace_level_of(nexthop, peer);
    if (trace_level > 1)
        log::info(fmt::format("{}: next hop {}: connecting to {}, TLS level {}, {}", request.queue_id,
                              nexthop.name, peer.relay(), tls::level_name(plan.level),
                              login.is_wanted() ? "login as " + login.user : "no login"));
    auto fd = co_await connect_to(peer, patience);
    if (!fd) {
        opened.hung = fd.error().fault == Fault::timeout;
        log::info(connect_failure_text(peer, fd.error()));
        opened.failure = connect_failed(peer, fd.error());
        co_return opened;
    }
    if (!params_.proxy_header().empty() && peer.path.empty())
        introduce_ourselves(fd->get());
    opened.session = std::make_unique<SmtpSession>(*std::move(fd), std::move(peer), params_);
    SmtpSession& session = *opened.session;
    session.set_habits(*std::move(habits));
    session.trace(trace_level);
    if (notices_->are_wanted())
        session.record();
    opened.failure = co_await session.open(tls_.get(), std::move(plan), *sasl_, std::move(login));
    if (!opened.failure && finder_->may_loop(session.peer()) &&
        finder_->is_own_name(session.capabilities().host))
        opened.failure = mail_loop(nexthop.name);
    co_return opened;
}

// To a server that believes nobody without a PROXY header.  A new connection has room for it.
void SmtpAgent::introduce_ourselves(int fd) const
{
    const auto shown = [](const std::optional<SocketAddress>& end) {
        return end ? ProxyHeader::End{end->text(), end->port()} : ProxyHeader::End{};
    };
    const ProxyHeader::End here = shown(own_end(fd));
    const ProxyHeader::End there = shown(peer_end(fd));
    const std::string header = proxy_header(params_.proxy_header() == "v1" ? 1 : 2, here, there);
    (void)::send(fd, header.data(), header.size(), MSG_NOSIGNAL); // a failure shows at the next read
}

// debug_peer_list: next hops, servers and their networks.
Task<int> SmtpAgent::trace_level_of(const Nexthop& nexthop, const Peer& peer)
{
    const int level = log::verbosity();
    if (debug_peers_.empty())
        co_return level;
    const std::string address = peer.path.empty() ? peer.address.text() : std::string();
    const auto look_up = [&] {
        return debug_peers_.match_either(peer.name, address) ||
               (!nexthop.name.empty() && debug_peers_.match(nexthop.name));
    };
    const bool listed = co_await ask(debug_peers_.may_block(), look_up);
    co_return listed ? level + params_.debug_level() : level;
}

Task<Result<UniqueFd>> SmtpAgent::connect_to(Peer peer, Milliseconds time)
{
    if (!peer.path.empty()) {
        auto unix_fd = connect_unix(peer.path);
        if (!unix_fd)
            co_return Error(unix_fd.error().fault, std::strerror(unix_fd.error().number));
        co_return unix_fd;
    }
    const SocketAddress address = peer.address;
    const auto& local = address.is_v6() ? local_v6_ : local_v4_;
    auto fd = co_await connect_inet(address, local, time, params_.tcp_window());
    if (fd || fd.error().fault != Fault::config || params_.bind_address_enforce())
        co_return fd;
    log::warn(fmt::format("bind to {}: {}", local->text(), fd.error().context));
    const std::optional<SocketAddress> any;
    co_return co_await connect_inet(address, any, time, params_.tcp_window());
}

// smtp_generic_maps.
Task<Result<>> SmtpAgent::map_envelope(OutgoingEnvelope& envelope)
{
    if (!output_.has_generic())
        co_return Result<>();
    const auto map = [&]() -> Result<> {
        TRY(envelope.generic_sender, output_.generic(envelope.request->sender));
        for (const ipc::DeliveryRecipient& recipient : envelope.request->recipients) {
            TRY(std::string address, output_.generic(recipient.address));
            envelope.generic_recipients.push_back(std::move(address));
        }
        return {};
    };
    co_return co_await ask(output_.may_block(), map);
}

// Sends to all recipients that are left.  True: a kept session was dead, nothing has
// happened.
Task<bool> SmtpAgent::transact(Attempt& attempt, std::unique_ptr<SmtpSession> session,
                               const std::string& nexthop)
{
    Delivery& delivery = attempt.delivery;
    const ipc::DeliveryRequest& request = delivery.request();
    OutgoingEnvelope envelope(request);
    envelope.attributes = delivery.attributes();
    for (std::size_t i = 0; i < request.recipients.size(); ++i)
        if (!delivery.is_settled(i))
            envelope.recipients.push_back(i);
    const auto mapped = co_await map_envelope(envelope);
    if (!mapped) {
        const DeliveryStatus later(DeliveryOutcome::deferred, "4.3.0",
                                   "table lookup failure: " + mapped.error().context);
        attempt.failure = later;
        pool_.dismiss(std::move(session));
        co_return false;
    }
    QueuedText text(delivery.fd(), delivery.file_size(), request.data_offset,
                    static_cast<std::size_t>(params_.line_length_limit()));
    text.begins_at(delivery.begin());
    if (!session->capabilities().eightbitmime && request.encoding != "7bit" && !params_.keep_8bit())
        text.convert_to_7bit();
    std::optional<OutputFilter> filter;
    if (output_.is_needed())
        text.filter_with(&filter.emplace(output_));
    const WallTime connected = WallTime::now();
    TransactionResult result = co_await session->transact(envelope, text);
    if (filter)
        for (const std::string& line : filter->take_log())
            log::info(fmt::format("{}: {}", request.queue_id, line));
    if (text.broke_a_line())
        log::info(fmt::format("{}: breaking line > {} bytes with <CR><LF>SPACE", request.queue_id,
                              params_.line_length_limit()));
    co_await notices_->send(request, *session);
    const int uses = session->uses();
    if (!result.stale) {
        attempt.spoken_to.push_back(session->peer());
        ++attempt.sessions;
        attempt.reached = true;
    }
    if (keeps_connections(nexthop, session->peer()) && session->may_be_kept())
        pool_.give_back(std::move(session), nexthop);
    else
        pool_.dismiss(std::move(session));
    if (result.stale)
        co_return true;

    for (std::size_t i = 0; i < envelope.recipients.size(); ++i) {
        const std::size_t index = envelope.recipients[i];
        DeliveryStatus& status = result.statuses[i];
        status.connection_uses = uses;
        status.connected = connected;
        if (status.outcome == DeliveryOutcome::deferred)
            attempt.last[index] = std::move(status);
        else
            co_await delivery.settle(index, std::move(status));
    }
    co_return false;
}

// On demand: where making one takes time.  A new connection to a socket of this host costs next to
// nothing, and tells at once that its server has gone.
bool SmtpAgent::keeps_connections(const std::string& nexthop, const Peer& peer) const
{
    const auto& always = params_.cache_destinations();
    const bool on_demand = params_.cache_on_demand() && peer.path.empty();
    return on_demand || std::ranges::any_of(always, [&](const std::string& one) {
               return equals_ignoring_case(one, nexthop);
           });
}

} // namespace bulkhead
