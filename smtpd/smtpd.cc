#include "smtpd.h"

#include "policy_service.h"

#include "client_limits.h"

#include "dns/resolver.h"
#include "ipc/hand_over.h"
#include "log/log.h"
#include "routing/open.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// receive_override_options (postconf(5)) to what cleanup shall do.
unsigned cleanup_flags_of(const std::vector<std::string>& overrides)
{
    struct Row {
        std::string_view option;
        unsigned flag;
    };
    static constexpr std::array<Row, 2> rows = {{
        {"no_address_mappings", ipc::cleanup_flag::map_addresses},
        {"no_header_body_checks", ipc::cleanup_flag::filter},
    }};
    unsigned flags = ipc::cleanup_flag::filter | ipc::cleanup_flag::map_addresses;
    for (const Row& row : rows)
        if (std::ranges::find(overrides, row.option) != overrides.end())
            flags &= ~row.flag;
    return flags;
}

// "host:port", "inet:host:port", "unix:path", and a port alone of this host.
Result<PolicyServerSpec> filter_place(std::string_view text)
{
    if (text.starts_with("unix:") || text.starts_with("inet:"))
        return parse_policy_server(text, {});
    if (text.starts_with(':'))
        text.remove_prefix(1);
    const bool port_alone = text.find(':') == std::string_view::npos;
    return parse_policy_server(fmt::format("inet:{}{}", port_alone ? "localhost:" : "", text), {});
}

} // namespace

Smtpd::Smtpd() = default;
Smtpd::~Smtpd() = default;

JailPolicy Smtpd::jail_policy() const
{
    JailPolicy policy;
    policy.network = true; // name servers and policy servers
    return policy;
}

Result<> Smtpd::before_jail()
{
    constexpr std::array<std::string_view, 4> newline_words = {"no", "yes", "normalize", "reject"};
    if (std::ranges::find(newline_words, params_.bare_newline()) == newline_words.end())
        return Error{Fault::config,
                     fmt::format("{}: smtpd_forbid_bare_newline: bad value \"{}\"",
                                 config().place("smtpd_forbid_bare_newline"), params_.bare_newline())};
    if (!params_.upstream_protocol().empty() && params_.upstream_protocol() != "haproxy")
        return Error{Fault::config, fmt::format("{}: smtpd_upstream_proxy_protocol: bad value \"{}\"",
                                                config().place("smtpd_upstream_proxy_protocol"),
                                                params_.upstream_protocol())};
    if (is_explaining()) {
        TRY(local_rewriting_, LocalRewriting::open(config().config_directory()));
        rewriter_.emplace(*local_rewriting_);
    } else {
        rewriter_.emplace("private/" + params_.rewrite_service());
        if (has_common_parameters())
            rewriter_->know_rules(RoutingRules::open(config()));
    }
    flush_.emplace("public/" + params_.flush_service());
    cleanup_.emplace("public/" + params_.cleanup_service(), common().ipc_timeout());
    TRY(resolver_, dns::Resolver::open());
    TRY(policy_, Policy::open(config(), params_, *rewriter_, resolver_.get()));
    if (is_explaining())
        policy_->explain_only();
    TRY(tables_, ProtocolTables::open(config(), params_));
    if (!is_standalone())
        tls_ = ServerTls::open(params_.tls, service_name());
    if (!is_standalone()) {
        TRY(sasl_, ServerSasl::open(config(), params_.sasl));
    }
    // In the jail the current folder is the spool; by hand it may be any.
    disk_.emplace(".", params_.minimum_free(), params_.message_size());
    service_.emplace(SmtpdService{
        params_, *policy_, *cleanup_, *disk_, tables_, *flush_, common().myhostname(), common().mail_name(),
        cleanup_flags_of(params_.overrides()), offers_in(params_.discarded_keywords())});
    service_->tls = tls_.get();
    service_->sasl = sasl_.get();
    if (!is_standalone()) {
        TRY(milters_, MilterPolicy::open(config(), params_));
    }
    service_->milters = milters_.get();
    if (!params_.proxy_filter().empty()) {
        auto spec = filter_place(params_.proxy_filter());
        if (!spec)
            return Error{Fault::config,
                         fmt::format("{}: smtpd_proxy_filter: {}", config().place("smtpd_proxy_filter"),
                                     spec.error().context)};
        spec->options.timeout = params_.proxy_timeout();
        before_queue_ = std::make_unique<PolicyServer>(*std::move(spec), resolver_.get());
        service_->before_queue = before_queue_.get();
    }
    TRY(limits_, ClientLimits::open(config(), params_, service_name()));
    service_->limits = limits_.get();
    auto reports = ReportPolicy::open(params_, common().myhostname(), common().mail_name());
    if (!reports)
        return Error{Fault::config, fmt::format("{}: notify_classes: {}", config().place("notify_classes"),
                                                reports.error().context)};
    reports_ = *std::move(reports);
    service_->reports = reports_.classes.empty() || is_standalone() ? nullptr : &reports_;
    return {};
}

bool Smtpd::must_hand_over()
{
    if (tls_ && tls_->is_stale())
        log::info("TLS keys have changed -- restarting");
    else if ((milters_ && milters_->is_stale()) || (sasl_ && sasl_->is_stale()) || policy_->is_stale() ||
             tables_.is_stale())
        log::info("table has changed -- restarting");
    else
        return false;
    return true;
}

// Inside TLS from the first byte nobody can be told before the handshake.
std::string Smtpd::refusal() const
{
    if (params_.tls.wrapper())
        return {};
    return Reply(421, "4.3.2", common().myhostname() + " Error: too many sessions, try again later").wire();
}

Task<> Smtpd::serve(Session& client)
{
    if (client.standalone) {
        service_->standalone = true;
        disk_.emplace(common().queue_directory(), params_.minimum_free(), params_.message_size());
    }
    SmtpSession session(client.stream, *service_, client.state.get(), client.giver.get());
    co_await session.run();
}

} // namespace bulkhead
