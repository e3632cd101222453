#include "client_tls.h"

#include "async/offload.h"
#include "base/text.h"
#include "dns/resolver.h"
#include "expiring_table.h"
#include "log/log.h"
#include "os/files.h"
#include "table/decision.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;
using tls::Level;

namespace
{

constexpr std::size_t key_file_limit = 1 << 20;
constexpr std::uint16_t default_port = 25;

DeliveryStatus waits(std::string dsn, std::string reason)
{
    return {DeliveryOutcome::deferred, std::move(dsn), std::move(reason)};
}

DeliveryStatus configuration_problem()
{
    return waits("4.7.5", "client TLS configuration problem");
}

// The words of smtp_tls_per_site.
std::optional<Level> site_level(std::string_view word, bool enforce_name)
{
    if (equals_ignoring_case(word, "NONE"))
        return Level::none;
    if (equals_ignoring_case(word, "MAY"))
        return Level::may;
    if (equals_ignoring_case(word, "MUST"))
        return enforce_name ? Level::verify : Level::encrypt;
    if (equals_ignoring_case(word, "MUST_NOPEERMATCH"))
        return Level::encrypt;
    return std::nullopt;
}

// nexthop, dot-nexthop and hostname as the names they stand for.
std::vector<std::string> expanded(const std::vector<std::string>& matches, const std::string& nexthop,
                                  const std::string& host)
{
    std::vector<std::string> names;
    for (const std::string& match : matches) {
        if (match == "nexthop")
            names.push_back(nexthop);
        else if (match == "dot-nexthop")
            names.push_back('.' + nexthop);
        else if (match == "hostname")
            names.push_back(host);
        else
            names.push_back(match);
    }
    return names;
}

} // namespace

std::vector<std::string_view> policy_keys(std::string_view nexthop)
{
    std::vector<std::string_view> keys{nexthop};
    std::string_view host = nexthop;
    if (host.starts_with('['))
        host = host.substr(1, host.find(']') - 1);
    else
        host = host.substr(0, host.find(':'));
    if (host != nexthop)
        keys.push_back(host);
    for (auto dot = host.find('.', 1); dot != host.npos; dot = host.find('.', dot + 1))
        keys.push_back(host.substr(dot));
    return keys;
}

std::string TlsPlan::key() const
{
    std::string text =
        fmt::format("{} {} {} {} {} {} {} {:x}", tls::level_name(level), wrapper, call.server_name,
                    call.ciphers, call.protocols.lowest, call.protocols.highest, fmt::join(matches, "|"),
                    std::hash<std::string>{}(call.trust_anchors));
    for (const std::uint16_t version : call.protocols.excluded)
        text += fmt::format(" !{}", version);
    for (const tls::TlsaRecord& record : call.tlsa)
        text += fmt::format(" {}.{}.{}.{:x}", record.usage, record.selector, record.matching,
                            std::hash<std::string>{}(record.data));
    return text;
}

Result<std::unique_ptr<ClientTls>> ClientTls::open(const SmtpTlsParams& params, dns::Resolver* resolver)
{
    std::unique_ptr<ClientTls> self(new ClientTls(params));
    self->resolver_ = resolver;
    self->log_level_ = static_cast<int>(
        std::min<std::uint64_t>(parse_unsigned(params.log_level().substr(0, 1)).value_or(0), 9));
    self->policies_ = TableList::open(params.policy_maps);
    if (self->policies_.empty())
        self->sites_ = TableList::open(params.per_site);
    self->choose_level();
    if (self->default_.level == Level::none && self->policies_.empty() && self->sites_.empty() &&
        !params.wrapper() && self->problem_.empty())
        return self; // nobody will ask for a context
    if (const auto opened = self->open_context(); !opened)
        self->problem_ = opened.error().context;
    if (!self->problem_.empty())
        log::warn(fmt::format("{}: mail that asks for TLS is deferred", self->problem_));
    return self;
}

ClientTls::ClientTls(const SmtpTlsParams& params) : params_(params) {}
ClientTls::~ClientTls() = default;

// Without the file, sessions are resumed within this process only.
void ClientTls::open_sessions()
{
    const Param<std::string>& database = params_.session_database;
    if (database().empty() || params_.session_time().count() == 0)
        return;
    auto opened = ExpiringTable::open(database(), params_.session_time());
    if (opened)
        sessions_ = *std::move(opened);
    else
        log::warn(fmt::format("{}: {}", database.name(), opened.error().context));
}

void ClientTls::choose_level()
{
    if (const auto level = tls::parse_level(params_.level())) {
        default_.level = *level;
    } else if (!params_.level().empty()) {
        problem_ = fmt::format("smtp_tls_security_level: unknown value \"{}\"", printable(params_.level()));
        default_.level = Level::encrypt;
    } else if (params_.enforce()) {
        default_.level = params_.enforce_name() ? Level::verify : Level::encrypt;
    } else if (params_.use()) {
        default_.level = Level::may;
    }
    const auto insecure = tls::parse_level(params_.insecure_mx());
    if (!insecure || (*insecure != Level::dane && *insecure != Level::encrypt && *insecure != Level::may))
        problem_ = fmt::format("{}: unknown value \"{}\"", params_.insecure_mx.name(),
                               printable(params_.insecure_mx()));
    else
        insecure_mx_ = *insecure;
}

Result<> ClientTls::open_context()
{
    tls::ClientOptions options;
    tls::KeyFiles files;
    files.chain_files = params_.chain_files();
    files.pairs = {{params_.certificate(), params_.key()}, {params_.ec_certificate(), params_.ec_key()}};
    std::vector<std::string> watched = files.paths();
    TRY(options.certificates, tls::read_key_files(files));
    TRY(options.authorities, tls::read_authorities(params_.authority_file(), params_.authority_folder()));
    watched.push_back(params_.authority_file());
    if (params_.common.append_default_authorities()) {
        TRY(const std::string more, tls::read_authorities("", tls::default_authority_folder()));
        options.authorities += more;
    }
    has_authorities_ = !options.authorities.empty();
    if (!params_.trust_anchor_file().empty()) {
        TRY(trust_anchors_, read_file(params_.trust_anchor_file(), key_file_limit));
        watched.push_back(params_.trust_anchor_file());
    }
    for (const std::string& path : watched)
        if (auto watch = FileWatch::open(path); !path.empty() && watch)
            watches_.push_back(*std::move(watch));
    options.fingerprint_digest = params_.fingerprint_digest();
    options.session_time = params_.session_time();
    open_sessions();
    if (sessions_)
        options.on_session = [sessions = sessions_.get()](const std::string& key, std::string session) {
            sessions->keep(key, std::move(session));
        };
    TRY(context_, tls::ClientContext::open(params_.common, std::move(options)));
    TlsPlan trial;
    return apply(trial, default_);
}

std::vector<std::string> ClientTls::default_matches(Level level) const
{
    switch (level) {
    case Level::fingerprint:
        return tls::parse_matches(params_.fingerprint_match(), true);
    case Level::verify:
        return tls::parse_matches(params_.verify_match(), false);
    case Level::secure:
        return tls::parse_matches(params_.secure_match(), false);
    default:
        return {};
    }
}

// Files that a policy names can be read where the worker sees them: outside of a jail.
Result<std::string> ClientTls::anchors_of(const tls::Policy& policy) const
{
    if (policy.trust_anchor_files.empty())
        return trust_anchors_;
    std::string all;
    for (const std::string& path : policy.trust_anchor_files) {
        TRY(const std::string text, read_file(path, key_file_limit));
        all += text + '\n';
    }
    return all;
}

Result<> ClientTls::apply(TlsPlan& plan, const tls::Policy& policy) const
{
    const bool mandatory = tls::is_mandatory(policy.level);
    plan.level = policy.level;
    plan.wrapper = params_.wrapper();
    plan.keeps_connections = policy.keeps_connections.value_or(keeps_connections_);
    plan.matches = policy.matches.empty() ? default_matches(policy.level) : policy.matches;
    plan.server_name = policy.server_name;
    TRY(plan.call.protocols, tls::parse_protocols(policy.protocols.value_or(
                                 mandatory ? params_.mandatory_protocols() : params_.protocols())));
    std::vector<std::string> excluded = policy.excluded.value_or(params_.excluded());
    if (mandatory && !policy.excluded)
        excluded.insert(excluded.end(), params_.mandatory_excluded().begin(),
                        params_.mandatory_excluded().end());
    if (tls::is_verified(policy.level)) // there must be a certificate to look at
        excluded.emplace_back("aNULL");
    TRY(plan.call.ciphers,
        tls::cipher_list(params_.common.cipher_lists(),
                         policy.ciphers.value_or(mandatory ? params_.mandatory_ciphers() : params_.ciphers()),
                         excluded));
    TRY(plan.call.trust_anchors, anchors_of(policy));
    plan.call.verify_depth = params_.verify_depth();
    return {};
}

PlannedTls ClientTls::plan_for(const std::string& nexthop)
{
    PlannedTls planned;
    tls::Policy policy = default_;
    TableList& tables = policies_.empty() ? sites_ : policies_;
    bool by_table = false;
    for (const std::string_view key : policy_keys(nexthop)) {
        if (tables.empty())
            break;
        const Lookup answer = tables.find(key);
        if (answer.is_broken()) {
            planned.failure = waits("4.3.0", "TLS policy lookup failed: " + answer.reason());
            return planned;
        }
        if (answer.is_absent())
            continue;
        if (policies_.empty()) {
            const auto level = site_level(trim(answer.value()), params_.enforce_name());
            planned.failure = level ? std::nullopt : std::optional(configuration_problem());
            policy.level = level.value_or(Level::encrypt);
        } else {
            auto parsed = tls::parse_policy(answer.value());
            if (!parsed)
                planned.failure =
                    waits("4.7.5", fmt::format("TLS policy of {}: {}", key, parsed.error().context));
            else
                policy = *std::move(parsed);
        }
        by_table = true;
        break;
    }
    if (planned.failure)
        return planned;
    if (!by_table)
        tell_decision({params_.level.name(), "", "", tls::level_name(policy.level)});
    if (params_.wrapper() && !tls::is_mandatory(policy.level))
        policy.level = Level::encrypt;
    if (policy.level == Level::none)
        return planned;
    if (!problem_.empty() || !context_ || !apply(planned.plan, policy))
        planned.failure = configuration_problem();
    return planned;
}

// RFC 7672, 2.2: records that are signed decide; where there are none, DANE is off.
Task<std::optional<DeliveryStatus>> ClientTls::ask_for_records(TlsPlan& plan, const Host& host)
{
    const Peer& peer = host.peer;
    if (!resolver_ || !resolver_->validates()) {
        log::warn("TLS level dane needs smtp_dns_support_level = dnssec and the root's trust anchor");
        co_return configuration_problem();
    }
    const bool only = plan.level == Level::dane_only;
    if (only && host.found_insecurely)
        co_return waits("4.7.5", fmt::format("the MX record that names {} is not secure", peer.name));
    const std::uint16_t port = peer.address.port() != 0 ? peer.address.port() : default_port;
    const std::string name = fmt::format("_{}._tcp.{}", port, peer.name);
    auto answer = co_await resolver_->tlsa(name);
    if (answer.status == dns::Status::temporary || answer.status == dns::Status::bogus)
        co_return waits("4.7.5", fmt::format("TLSA lookup error for {}:{}", peer.name, port));
    std::vector<tls::TlsaRecord> usable;
    for (dns::TlsaRecord& record : answer.records) {
        tls::TlsaRecord one{record.usage, record.selector, record.matching, std::move(record.data)};
        if (context_->is_usable(one))
            usable.push_back(std::move(one));
    }
    if (answer.status == dns::Status::found && answer.secure) {
        if (usable.empty() && only)
            co_return waits("4.7.5", fmt::format("no usable TLSA records for {}:{}", peer.name, port));
        if (host.found_insecurely && insecure_mx_ != Level::dane) {
            plan.level = insecure_mx_;
            co_return std::nullopt;
        }
        if (usable.empty()) // what is published asks for encryption, but tells no key
            plan.level = Level::encrypt;
        plan.call.tlsa = std::move(usable);
        plan.call.dane_names = {peer.name};
        co_return std::nullopt;
    }
    if (only)
        co_return waits("4.7.5", fmt::format("no secure TLSA records for {}:{}", peer.name, port));
    plan.level = Level::may;
    co_return std::nullopt;
}

Task<std::optional<DeliveryStatus>> ClientTls::prepare(TlsPlan& plan, const std::string& nexthop_name,
                                                       const Host& host)
{
    const Peer& peer = host.peer;
    if (plan.level == Level::none)
        co_return std::nullopt;
    if (plan.level == Level::dane || plan.level == Level::dane_only) {
        auto failure = co_await ask_for_records(plan, host);
        if (failure)
            co_return failure;
    }
    if (plan.level != Level::fingerprint)
        plan.matches = expanded(plan.matches, nexthop_name, peer.name);
    const std::string wanted = plan.server_name.value_or(params_.server_name());
    plan.call.server_name = wanted == "hostname" ? peer.name : wanted == "nexthop" ? nexthop_name : wanted;
    const bool dane = !plan.call.tlsa.empty();
    if (dane)
        plan.call.server_name = peer.name;
    else if (params_.session_time().count() > 0)
        plan.call.session_key = fmt::format("{} {} {}", nexthop_name, peer.relay(), plan.key());
    if (sessions_ && !plan.call.session_key.empty() && !context_->has_session(plan.call.session_key)) {
        const std::string known = co_await sessions_->find(plan.call.session_key);
        context_->offer_session(plan.call.session_key, known);
    }
    // Parsing a whole bundle takes its time: only where somebody looks at what comes of it.
    const bool is_looked_at = plan.level == Level::verify || plan.level == Level::secure || log_level_ > 0;
    if (has_authorities_ && !authorities_loaded_ && !dane && is_looked_at) {
        tls::ClientContext* const context = context_.get();
        const auto load = [context] { context->load_authorities(); };
        co_await offload(load);
        authorities_loaded_ = true;
    }
    co_return std::nullopt;
}

Result<std::unique_ptr<tls::Connection>> ClientTls::connect(int fd, const TlsPlan& plan)
{
    return context_->connect(fd, plan.call);
}

std::optional<DeliveryStatus> ClientTls::judge(const TlsPlan& plan, const Peer& peer,
                                               const tls::Connection& connection)
{
    const tls::Facts facts = connection.facts();
    const bool dane = !plan.call.tlsa.empty();
    bool matched = false;
    if (dane)
        matched = facts.trusted;
    else if (plan.level == Level::fingerprint)
        matched = connection.has_fingerprint_of(plan.matches);
    else if (tls::is_verified(plan.level))
        matched = facts.trusted && connection.has_name_of(plan.matches);
    if (log_level_ >= 2 && facts.has_certificate)
        log::info(fmt::format("{}: subject_CN={}, issuer={}, fingerprint={}, pkey_fingerprint={}",
                              peer.relay(), facts.common_name, facts.issuer, facts.certificate_fingerprint,
                              facts.key_fingerprint));
    const bool verified_level = tls::is_verified(plan.level);
    if (facts.has_certificate && !facts.trusted && plan.level != Level::fingerprint &&
        (verified_level || log_level_ >= 2))
        log::info(
            fmt::format("certificate verification failed for {}: {}", peer.relay(), facts.trust_problem));
    if (log_level_ >= 1) {
        const std::string_view trust = !facts.has_certificate ? "Anonymous"
                                       : matched              ? "Verified"
                                       : facts.trusted        ? "Trusted"
                                                              : "Untrusted";
        log::info(fmt::format("{} TLS connection {} to {}: {}", trust,
                              facts.resumed ? "reused" : "established", peer.relay(), tls::summary(facts)));
    }
    if (!verified_level || matched)
        return std::nullopt;
    const bool untrusted = !facts.trusted && plan.level != Level::fingerprint && !dane;
    DeliveryStatus status =
        waits("4.7.5", untrusted ? "Server certificate not trusted" : "Server certificate not verified");
    status.relay = peer.relay();
    return status;
}

void ClientTls::log_failure(const Peer& peer, const Error& error)
{
    switch (error.fault) {
    case Fault::timeout:
        log::info(fmt::format("SSL_connect error to {}: Connection timed out", peer.relay()));
        return;
    case Fault::broken:
        log::info(fmt::format("SSL_connect error to {}: -1", peer.relay()));
        log::warn("TLS library problem: " + error.context);
        return;
    default:
        log::info(fmt::format("SSL_connect error to {}: {}", peer.relay(), error.context));
    }
}

bool ClientTls::is_stale() const
{
    return policies_.is_stale() || sites_.is_stale() ||
           std::ranges::any_of(watches_, [](const FileWatch& one) { return one.changed(); });
}

} // namespace bulkhead
