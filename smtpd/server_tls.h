// TLS of the SMTP server: what the parameters ask for, opened before the jail and shared by
// all sessions.  Whatever is wrong with keys or settings is logged at the start and answered
// with 454; mail that needs no TLS goes on.
#pragma once

#include "tls_params.h"
#include "tls_sessions.h"

#include "base/result.h"
#include "table/file_watch.h"
#include "table/table.h"
#include "tls/context.h"
#include "tls/facts.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class ServerTls
{
public:
    // params must outlive it.  service: whose sessions may be resumed here.
    static std::unique_ptr<ServerTls> open(const SmtpdTlsParams& params, const std::string& service);

    bool is_enabled() const { return level_ != tls::Level::none; }
    bool is_mandatory() const { return tls::is_mandatory(level_); }
    bool is_wrapped() const { return is_enabled() && params_.wrapper(); }
    bool asks_certificate() const { return params_.ask_certificate() || requires_certificate(); }
    bool requires_certificate() const { return params_.require_certificate() && is_mandatory(); }
    const SmtpdTlsParams& params() const { return params_; }

    // Null: TLS is not available, the log has said why.
    tls::ServerContext* context() const { return context_.get(); }

    // A key, certificate or table has changed: the worker should hand over.
    bool is_stale() const;

    // Lines of smtpd_tls_loglevel.
    void log_attempt(std::string_view client) const;
    void log_success(std::string_view client, const tls::Facts& facts) const;
    static void log_failure(std::string_view client, const Error& error);

private:
    explicit ServerTls(const SmtpdTlsParams& params) : params_(params) {}

    void choose_level();
    Result<> open_context(const std::string& service);
    Result<> read_keys(tls::ServerOptions& options);
    Result<> read_authorities(tls::ServerOptions& options);
    Result<> choose_ciphers(tls::ServerOptions& options) const;
    void open_server_names(tls::ServerOptions& options);
    void open_sessions(tls::ServerOptions& options);
    std::optional<std::string> find_server_name(std::string_view name);
    void watch(const std::string& path);

    const SmtpdTlsParams& params_;
    tls::Level level_ = tls::Level::none;
    int log_level_ = 0;
    std::vector<FileWatch> watches_;
    TableList server_names_;
    std::unique_ptr<ServerTlsSessions> sessions_; // null: in memory only
    std::unique_ptr<tls::ServerContext> context_;
};

// What Received: says in brackets of the session, each line without the fold.
std::vector<std::string> received_lines(const tls::Facts& facts, bool asked_for_certificate);

} // namespace bulkhead
