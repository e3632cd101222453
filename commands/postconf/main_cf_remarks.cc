#include "main_cf_remarks.h"

#include "base/text.h"
#include "config/logical_lines.h"
#include "config/main_cf.h"
#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

namespace bulkhead::postconf
{

namespace
{

struct Deprecated {
    std::string_view name;
    std::string_view instead;
};

// Sorted by name.
constexpr std::array<Deprecated, 37> deprecated_parameters{{
    {"authorized_verp_clients", "specify \"smtpd_authorized_verp_clients\""},
    {"disable_dns_lookups", "specify \"smtp_dns_support_level\""},
    {"fallback_relay", "specify \"smtp_fallback_relay\""},
    {"lmtp_cache_connection", "specify \"lmtp_connection_cache_on_demand\""},
    {"lmtp_enforce_tls", "specify \"lmtp_tls_security_level = encrypt\""},
    {"lmtp_per_record_deadline", "specify \"lmtp_per_request_deadline\""},
    {"lmtp_tls_enforce_peername", "specify \"lmtp_tls_security_level = verify\""},
    {"lmtp_tls_per_site", "specify \"lmtp_tls_policy_maps\""},
    {"lmtp_use_tls", "specify \"lmtp_tls_security_level = may\""},
    {"permit_mx_backup_networks", "specify \"relay_domains\""},
    {"postscreen_blacklist_action", "specify \"postscreen_denylist_action\""},
    {"postscreen_dnsbl_ttl", "specify \"postscreen_dnsbl_max_ttl\""},
    {"postscreen_dnsbl_whitelist_threshold", "specify \"postscreen_dnsbl_allowlist_threshold\""},
    {"postscreen_enforce_tls", "specify \"postscreen_tls_security_level = encrypt\""},
    {"postscreen_use_tls", "specify \"postscreen_tls_security_level = may\""},
    {"postscreen_whitelist_interfaces", "specify \"postscreen_allowlist_interfaces\""},
    {"smtp_enforce_tls", "specify \"smtp_tls_security_level = encrypt\""},
    {"smtp_per_record_deadline", "specify \"smtp_per_request_deadline\""},
    {"smtp_tls_cipherlist", "do not specify (leave at default)"},
    {"smtp_tls_enforce_peername", "specify \"smtp_tls_security_level = verify\""},
    {"smtp_tls_per_site", "specify \"smtp_tls_policy_maps\""},
    {"smtp_use_tls", "specify \"smtp_tls_security_level = may\""},
    {"smtpd_enforce_tls", "specify \"smtpd_tls_security_level = encrypt\""},
    {"smtpd_per_record_deadline", "specify \"smtpd_per_request_deadline\""},
    {"smtpd_sasl_application_name", "specify \"smtpd_sasl_path\""},
    {"smtpd_tls_cipherlist", "do not specify (leave at default)"},
    {"smtpd_tls_dh1024_param_file", "do not specify (leave at default)"},
    {"smtpd_tls_dh512_param_file", "do not specify (leave at default)"},
    {"smtpd_tls_eecdh_grade", "do not specify (leave at default)"},
    {"smtpd_use_tls", "specify \"smtpd_tls_security_level = may\""},
    {"tls_dane_digest_agility", "do not specify (leave at default)"},
    {"tls_dane_trust_anchor_digest_enable", "do not specify (leave at default)"},
    {"tls_eecdh_strong_curve", "specify \"tls_eecdh_auto_curves\""},
    {"tls_eecdh_ultra_curve", "specify \"tls_eecdh_auto_curves\""},
    {"tls_export_cipherlist", "do not specify (leave at default)"},
    {"tls_low_cipherlist", "do not specify (leave at default)"},
    {"virtual_maps", "specify \"virtual_alias_maps\""},
}};

// Names of restrictions, which stand in values.
constexpr std::array<Deprecated, 8> deprecated_restrictions{{
    {"check_relay_domains", "reject_unauth_destination"},
    {"permit_mx_backup", "permit_auth_destination"},
    {"permit_naked_ip_address", "permit_mynetworks"},
    {"reject_invalid_hostname", "reject_invalid_helo_hostname"},
    {"reject_maps_rbl", "reject_rbl_client"},
    {"reject_non_fqdn_hostname", "reject_non_fqdn_helo_hostname"},
    {"reject_unknown_client", "reject_unknown_client_hostname"},
    {"reject_unknown_hostname", "reject_unknown_helo_hostname"},
}};

void remark_deprecated(std::vector<std::string>& remarks, std::string_view file, std::string_view name,
                       std::string_view value)
{
    if (const std::string_view instead = replacement_of(name); !instead.empty())
        remarks.push_back(fmt::format("{}: support for parameter \"{}\" will be removed; instead, {}", file,
                                      name, instead));
    if (!name.ends_with("_restrictions"))
        return;
    for (const std::string& word : parse_list(value))
        for (const Deprecated& row : deprecated_restrictions)
            if (word == row.name)
                remarks.push_back(fmt::format(
                    "{}: support for restriction \"{}\" will be removed from {}; instead, specify \"{}\"",
                    file, row.name, name, row.instead));
}

} // namespace

std::string_view replacement_of(std::string_view name)
{
    const auto it = std::ranges::find(deprecated_parameters, name, &Deprecated::name);
    return it == deprecated_parameters.end() ? std::string_view() : it->instead;
}

std::vector<std::string> main_cf_remarks(std::string_view text, std::string_view file, bool deprecated)
{
    std::vector<std::string> remarks;
    std::map<std::string, std::string> seen;
    LogicalLines lines(text);
    while (lines.next()) {
        if (is_blank(lines.text().front())) {
            remarks.push_back(fmt::format("{}: logical line must not start with whitespace: \"{:.30}\"", file,
                                          printable(lines.text(), true)));
            continue;
        }
        const auto parsed = parse_assignment(lines.text());
        if (!parsed)
            continue; // the reader says it
        const auto& [name, value] = *parsed;
        const auto [earlier, is_new] = seen.emplace(name, value);
        if (!is_new && earlier->second != value)
            remarks.push_back(fmt::format("{}, line {}: overriding earlier entry: {}={}", file,
                                          lines.number(), name, printable(earlier->second, true)));
        earlier->second = value;
        if (const auto hash = value.find(" #"); hash != value.npos)
            remarks.push_back(fmt::format("{}, line {}: #comment after other text is not allowed: \"{:.20}\"",
                                          file, lines.number(), printable(value.substr(hash + 1), true)));
        if (deprecated)
            remark_deprecated(remarks, file, name, value);
    }
    return remarks;
}

} // namespace bulkhead::postconf
