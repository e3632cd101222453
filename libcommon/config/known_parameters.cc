#include "config/known_parameters.h"

#include "config/install_paths.h"

#include <algorithm>
#include <array>
#include <string>

namespace bulkhead
{

namespace
{

constexpr KnownParameter table[] = {
#include "config/known_parameters.inc"
};
constexpr KnownParameter own_table[] = {
#include "config/own_parameters.inc"
};
static_assert(std::ranges::is_sorted(table, {}, &KnownParameter::name));
static_assert(std::ranges::is_sorted(own_table, {}, &KnownParameter::name));

constexpr auto merged = [] {
    std::array<KnownParameter, std::size(table) + std::size(own_table)> all{};
    std::ranges::merge(table, own_table, all.begin(), {}, &KnownParameter::name, &KnownParameter::name);
    return all;
}();
static_assert(std::ranges::adjacent_find(merged, {}, &KnownParameter::name) == merged.end());

// What our product says instead of the compatible release.  syslog_name stays as it
// is: log tools look for postfix/smtpd.  The two smtpd_forbid_ defaults are
// those of release 3.9: without them another server's leniency lets mail be
// smuggled through us.
struct ProductDefault {
    std::string_view name;
    std::string_view value;
};
constexpr ProductDefault product_defaults[] = {
    {"html_directory", "no"},
    {"mail_name", "Bulkhead"},
    {"mail_release_date", "20261122"},
    {"mail_version", BULKHEAD_VERSION},
    {"mailq_path", "$command_directory/mailq"},
    {"manpage_directory", "no"},
    {"meta_directory", "$config_directory"},
    {"newaliases_path", "$command_directory/newaliases"},
    {"readme_directory", "no"},
    {"sample_directory", "$config_directory"},
    {"sendmail_path", "$command_directory/sendmail"},
    {"shlib_directory", "no"},
    {"smtpd_forbid_bare_newline", "normalize"},
};
static_assert(std::ranges::is_sorted(product_defaults, {}, &ProductDefault::name));

struct InstalledDefault {
    std::string_view name;
    std::string InstallPaths::* value;
};
constexpr InstalledDefault installed_defaults[] = {
    {"command_directory", &InstallPaths::command_directory},
    {"config_directory", &InstallPaths::config_directory},
    {"daemon_directory", &InstallPaths::daemon_directory},
    {"data_directory", &InstallPaths::data_directory},
    {"mail_owner", &InstallPaths::owner},
    {"queue_directory", &InstallPaths::queue_directory},
    {"setgid_group", &InstallPaths::setgid_group},
};

// Longer suffixes stand before those that they end with.
struct Suffix {
    std::string_view suffix;
    std::string_view default_name;
};
constexpr Suffix suffix_table[] = {
    {"_delivery_slot_cost", "default_delivery_slot_cost"},
    {"_delivery_slot_discount", "default_delivery_slot_discount"},
    {"_delivery_slot_loan", "default_delivery_slot_loan"},
    {"_destination_concurrency_failed_cohort_limit", "default_destination_concurrency_failed_cohort_limit"},
    {"_destination_concurrency_limit", "default_destination_concurrency_limit"},
    {"_destination_concurrency_negative_feedback", "default_destination_concurrency_negative_feedback"},
    {"_destination_concurrency_positive_feedback", "default_destination_concurrency_positive_feedback"},
    {"_destination_rate_delay", "default_destination_rate_delay"},
    {"_destination_recipient_limit", "default_destination_recipient_limit"},
    {"_extra_recipient_limit", "default_extra_recipient_limit"},
    {"_initial_destination_concurrency", "initial_destination_concurrency"},
    {"_minimum_delivery_slots", "default_minimum_delivery_slots"},
    {"_recipient_limit", "default_recipient_limit"},
    {"_recipient_refill_delay", "default_recipient_refill_delay"},
    {"_recipient_refill_limit", "default_recipient_refill_limit"},
    {"_transport_rate_delay", "default_transport_rate_delay"},
    {"_time_limit", "command_time_limit"},
};

} // namespace

std::span<const KnownParameter> known_parameters()
{
    return merged;
}

const KnownParameter* find_known_parameter(std::string_view name)
{
    const auto it = std::ranges::lower_bound(merged, name, {}, &KnownParameter::name);
    return it != merged.end() && it->name == name ? &*it : nullptr;
}

std::optional<std::string_view> product_default(std::string_view name)
{
    const auto it = std::ranges::lower_bound(product_defaults, name, {}, &ProductDefault::name);
    if (it != std::end(product_defaults) && it->name == name)
        return it->value;
    for (const InstalledDefault& row : installed_defaults)
        if (row.name == name)
            return install_paths().*row.value;
    return std::nullopt;
}

std::optional<TransportName> split_transport_name(std::string_view name)
{
    for (const Suffix& row : suffix_table)
        if (name.size() > row.suffix.size() && name.ends_with(row.suffix))
            return TransportName{name.substr(0, name.size() - row.suffix.size()), row.suffix,
                                 row.default_name};
    return std::nullopt;
}

std::string_view transport_default_name(std::string_view suffix)
{
    for (const Suffix& row : suffix_table)
        if (row.suffix == suffix)
            return row.default_name;
    return {};
}

std::vector<std::string_view> transport_suffixes()
{
    std::vector<std::string_view> suffixes;
    for (const Suffix& row : suffix_table)
        suffixes.push_back(row.suffix);
    return suffixes;
}

} // namespace bulkhead
