// smtpd_milters and non_smtpd_milters: where filters are and how to speak with each.
#pragma once

#include "async/address.h"
#include "base/clock.h"
#include "base/result.h"
#include "config/params.h"
#include "milter/protocol.h"

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::milter
{

// What happens to mail when a filter cannot be had.
enum class Default { accept, tempfail, reject, quarantine, shutdown };

struct Settings {
    std::string name; // "inet:localhost:8891", as it was written
    std::string path; // of unix:
    std::string host;
    std::string port;
    std::vector<SocketAddress> addresses; // of inet:, found before the jail
    Seconds connect_timeout{30};
    Seconds command_timeout{30};
    Seconds content_timeout{300};
    Default default_action = Default::tempfail;
    unsigned protocol = 6;
};

// The parameters that smtpd and cleanup have in common.
struct Params {
    explicit Params(ParamSet* set) : owner(set) {}

    ParamSet* owner; // in front of those that it owns

    Param<Seconds> connect_timeout{owner, "milter_connect_timeout", "30s", at_least(1),
                                   "time limit of connecting to a milter"};
    Param<Seconds> command_timeout{owner, "milter_command_timeout", "30s", at_least(1),
                                   "time limit of a milter's answer to an SMTP command"};
    Param<Seconds> content_timeout{owner, "milter_content_timeout", "300s", at_least(1),
                                   "time limit of a milter's answer to content"};
    Param<std::string> default_action{
        owner, "milter_default_action", "tempfail",
        "what happens to mail when a milter cannot be had: accept, tempfail, reject, quarantine "
        "or shutdown"};
    Param<std::string> protocol{owner, "milter_protocol", "6",
                                "the version of the milter protocol: 2, 3, 4 or 6"};
    Param<std::string> daemon_name{owner, "milter_macro_daemon_name", "$myhostname",
                                   "the macro {daemon_name}"};
    Param<std::string> macro_v{owner, "milter_macro_v", "$mail_name $mail_version", "the macro v"};
    Param<std::string> macro_defaults{owner, "milter_macro_defaults", "",
                                      "name=value of macros that have no other"};
    Param<std::string> connect_macros{owner, "milter_connect_macros", "j {daemon_name} {daemon_addr} v _",
                                      "macros sent to milters at the connection"};
    Param<std::string> helo_macros{owner, "milter_helo_macros",
                                   "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
                                   "macros sent to milters at HELO"};
    Param<std::string> mail_macros{
        owner, "milter_mail_macros",
        "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
        "macros sent to milters at MAIL"};
    Param<std::string> rcpt_macros{owner, "milter_rcpt_macros", "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
                                   "macros sent to milters at RCPT"};
    Param<std::string> data_macros{owner, "milter_data_macros", "i", "macros sent to milters at DATA"};
    Param<std::string> end_of_headers_macros{owner, "milter_end_of_header_macros", "i",
                                             "macros sent to milters behind the headers"};
    Param<std::string> end_of_data_macros{owner, "milter_end_of_data_macros", "i",
                                          "macros sent to milters behind the message"};
    Param<std::string> unknown_macros{owner, "milter_unknown_command_macros", "",
                                      "macros sent to milters at unknown commands"};
};

// "inet:host:port, { unix:/path, command_timeout=5s, default_action=accept }".
// Fault::config says which element is wrong and why.
Result<std::vector<Settings>> parse_milters(std::string_view list, const Params& params);

// Finds the addresses of inet: filters: may wait for the system's resolver, so before the
// jail.  A name without address is logged; its filter cannot be had.
void resolve(std::vector<Settings>& milters);

// The value of a macro, by its name without braces; nullopt: there is none.
using MacroValue = std::function<std::optional<std::string>(std::string_view name)>;

// Lists of names by stage, and the defaults of their values.
struct Macros {
    std::array<std::vector<std::string>, stages> names; // as written: "j", "{auth_type}"
    std::vector<std::pair<std::string, std::string>> defaults;

    static Macros from(const Params& params);
};

Result<Default> parse_default(std::string_view text);
std::string_view default_name(Default action);

} // namespace bulkhead::milter
