#include "server_tls.h"

#include "base/text.h"
#include "log/log.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Shared by the workers of the environment, in its jail.
constexpr std::string_view ticket_file = "private/tls_ticket_keys";

// "2" and "2,trace": the number in front.
int level_number(const std::string& text)
{
    const auto digits = std::ranges::find_if_not(text, is_digit) - text.begin();
    return static_cast<int>(std::min<std::uint64_t>(
        parse_unsigned(text.substr(0, static_cast<std::size_t>(digits))).value_or(0), 9));
}

} // namespace

std::unique_ptr<ServerTls> ServerTls::open(const SmtpdTlsParams& params, const std::string& service)
{
    std::unique_ptr<ServerTls> self(new ServerTls(params));
    self->log_level_ = level_number(params.log_level());
    self->choose_level();
    if (!self->is_enabled())
        return self;
    const auto opened = self->open_context(service);
    if (!opened)
        log::warn(fmt::format("{}: disabling TLS support", opened.error().context));
    return self;
}

void ServerTls::choose_level()
{
    const auto level = tls::parse_level(params_.level());
    if (level) {
        level_ = *level;
    } else if (!params_.level().empty()) {
        // Who asks for something unknown wants at least encryption.
        log::warn(fmt::format("smtpd_tls_security_level: unknown value \"{}\"; encrypt is used",
                              printable(params_.level())));
        level_ = tls::Level::encrypt;
    } else if (params_.enforce()) {
        level_ = tls::Level::encrypt;
    } else if (params_.use()) {
        level_ = tls::Level::may;
    }
    if (tls::is_verified(level_)) {
        log::warn(
            fmt::format("smtpd_tls_security_level: \"{}\" is for clients; encrypt is used", params_.level()));
        level_ = tls::Level::encrypt;
    }
    if (params_.wrapper() && level_ == tls::Level::none && params_.level().empty())
        level_ = tls::Level::encrypt;
}

void ServerTls::watch(const std::string& path)
{
    if (auto opened = FileWatch::open(path))
        watches_.push_back(*std::move(opened));
}

Result<> ServerTls::read_keys(tls::ServerOptions& options)
{
    tls::KeyFiles files;
    files.chain_files = params_.chain_files();
    files.pairs = {{params_.certificate(), params_.key()}, {params_.ec_certificate(), params_.ec_key()}};
    for (const std::string& path : files.paths())
        watch(path);
    TRY(options.certificates, tls::read_key_files(files));
    if (options.certificates.empty() && server_names_.empty())
        return Error(Fault::config,
                     "no server certificate: set smtpd_tls_chain_files or smtpd_tls_cert_file");
    return {};
}

Result<> ServerTls::read_authorities(tls::ServerOptions& options)
{
    options.ask_certificate = asks_certificate();
    options.verify_depth = params_.verify_depth();
    if (!options.ask_certificate)
        return {};
    TRY(options.authorities, tls::read_authorities(params_.authority_file(), params_.authority_folder()));
    if (!params_.authority_file().empty())
        watch(params_.authority_file());
    if (params_.common.append_default_authorities()) {
        TRY(const std::string more, tls::read_authorities("", tls::default_authority_folder()));
        options.authorities += more;
    }
    return {};
}

Result<> ServerTls::choose_ciphers(tls::ServerOptions& options) const
{
    const bool mandatory = is_mandatory();
    TRY(options.protocols,
        tls::parse_protocols(mandatory ? params_.mandatory_protocols() : params_.protocols()));
    std::vector<std::string> excluded = params_.excluded();
    if (mandatory)
        excluded.insert(excluded.end(), params_.mandatory_excluded().begin(),
                        params_.mandatory_excluded().end());
    if (asks_certificate()) // without a certificate of ours there is none of the client's
        excluded.emplace_back("aNULL");
    TRY(options.ciphers,
        tls::cipher_list(params_.common.cipher_lists(),
                         mandatory ? params_.mandatory_ciphers() : params_.ciphers(), excluded));
    return {};
}

// Asked in the middle of a handshake, which cannot wait.
void ServerTls::open_server_names(tls::ServerOptions& options)
{
    TableOptions contents;
    contents.values_are_files = true; // keys and chain, whatever the table's type
    server_names_ = TableList::open(params_.server_names(), contents);
    if (server_names_.empty())
        return;
    if (server_names_.may_block()) {
        log::warn("tls_server_sni_maps: tables that ask a server are not used");
        server_names_ = TableList();
        return;
    }
    options.find_server_name = [this](std::string_view name) { return find_server_name(name); };
}

// The name, then its parents with a dot in front.
std::optional<std::string> ServerTls::find_server_name(std::string_view name)
{
    for (std::size_t dot = 0; dot != name.npos; dot = name.find('.', dot + 1)) {
        const Lookup answer = server_names_.find(name.substr(dot), dot > 0);
        if (answer.is_broken()) {
            log::warn("tls_server_sni_maps: " + answer.reason());
            return std::nullopt;
        }
        if (answer.is_absent())
            continue;
        return answer.value();
    }
    return std::nullopt;
}

// Without the table, sessions live as long as the process.
void ServerTls::open_sessions(tls::ServerOptions& options)
{
    if (params_.session_database().empty() || options.session_time.count() == 0)
        return;
    auto opened = ServerTlsSessions::open(params_.session_database(), options.service, options.session_time);
    if (!opened) {
        log::warn("smtpd_tls_session_cache_database is not used: " + opened.error().context);
        return;
    }
    sessions_ = *std::move(opened);
    options.find_session = [this](std::string_view id) { return sessions_->find(id); };
    options.on_session = [this](std::string_view id, std::string session) {
        sessions_->keep(id, std::move(session));
    };
}

Result<> ServerTls::open_context(const std::string& service)
{
    tls::ServerOptions options;
    options.service = service;
    options.session_time = params_.session_time();
    options.ticket_file = ticket_file;
    options.fingerprint_digest = params_.fingerprint_digest();
    open_server_names(options);
    open_sessions(options);
    TRY_VOID(read_keys(options));
    TRY_VOID(read_authorities(options));
    TRY_VOID(choose_ciphers(options));
    TRY(context_, tls::ServerContext::open(params_.common, std::move(options)));
    return {};
}

bool ServerTls::is_stale() const
{
    return server_names_.is_stale() ||
           std::ranges::any_of(watches_, [](const FileWatch& one) { return one.changed(); });
}

void ServerTls::log_attempt(std::string_view client) const
{
    if (log_level_ >= 2)
        log::info(fmt::format("setting up TLS connection from {}", client));
}

void ServerTls::log_success(std::string_view client, const tls::Facts& facts) const
{
    if (log_level_ < 1)
        return;
    const std::string_view trust = !facts.has_certificate ? "Anonymous"
                                   : facts.trusted        ? "Trusted"
                                                          : "Untrusted";
    if (facts.has_certificate && log_level_ >= 2)
        log::info(fmt::format("{}: subject_CN={}, issuer={}, fingerprint={}, pkey_fingerprint={}", client,
                              facts.common_name, facts.issuer, facts.certificate_fingerprint,
                              facts.key_fingerprint));
    log::info(fmt::format("{} TLS connection {} from {}{}: {}", trust,
                          facts.resumed ? "reused" : "established", client,
                          facts.server_name.empty() ? "" : " to " + facts.server_name, summary(facts)));
}

void ServerTls::log_failure(std::string_view client, const Error& error)
{
    switch (error.fault) {
    case Fault::timeout:
        log::info(fmt::format("SSL_accept error from {}: Connection timed out", client));
        return;
    case Fault::broken:
        log::info(fmt::format("SSL_accept error from {}: -1", client));
        log::warn("TLS library problem: " + error.context);
        return;
    default:
        log::info(fmt::format("SSL_accept error from {}: {}", client, error.context));
    }
}

std::vector<std::string> received_lines(const tls::Facts& facts, bool asked_for_certificate)
{
    std::vector<std::string> lines;
    const std::string exchange = tls::exchange_text(facts);
    lines.push_back("(using " + tls::cipher_text(facts) + (exchange.empty() ? ")" : ""));
    if (!exchange.empty())
        lines.push_back(" " + exchange + ")");
    if (facts.has_certificate)
        lines.push_back(fmt::format("(Client CN \"{}\", Issuer \"{}\" ({}))", facts.common_name, facts.issuer,
                                    facts.trusted ? "verified OK" : "not verified"));
    else
        lines.emplace_back(asked_for_certificate ? "(Client did not present a certificate)"
                                                 : "(No client certificate requested)");
    return lines;
}

} // namespace bulkhead
