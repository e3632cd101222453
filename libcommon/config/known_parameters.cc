#include "config/known_parameters.h"

#include "config/install_paths.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

namespace bulkhead
{

namespace
{

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

using enum ParameterStatus;
using enum ParameterOrigin;
constexpr KnownParameter rows[] = {
#include "config/known_parameters.inc"
};
static_assert(std::ranges::is_sorted(rows, {}, &KnownParameter::name));
static_assert(std::ranges::adjacent_find(rows, {}, &KnownParameter::name) == std::end(rows));

constexpr const KnownParameter* find_row(std::string_view name)
{
    const auto it = std::ranges::lower_bound(rows, name, {}, &KnownParameter::name);
    return it != std::end(rows) && it->name == name ? it : nullptr;
}

// The help of a name that has none of its own: LMTP's is SMTP's, the TLS of postscreen and
// tlsproxy is smtpd's or smtp's, a transport's is the common default's.
constexpr std::string_view shared_help(std::string_view name)
{
    struct Family {
        std::string_view prefix, original;
    };
    constexpr Family families[] = {{"lmtp_", "smtp_"},
                                   {"postscreen_tls_", "smtpd_tls_"},
                                   {"tlsproxy_client_", "smtp_tls_"},
                                   {"tlsproxy_tls_", "smtpd_tls_"}};
    for (const Family& family : families) {
        if (!name.starts_with(family.prefix))
            continue;
        char text[100] = {};
        const std::string_view rest = name.substr(family.prefix.size());
        if (family.original.size() + rest.size() > sizeof text)
            continue;
        std::ranges::copy(rest, std::ranges::copy(family.original, text).out);
        if (const KnownParameter* row = find_row({text, family.original.size() + rest.size()}))
            return row->help;
    }
    for (const Suffix& suffix : suffix_table)
        if (name.ends_with(suffix.suffix))
            if (const KnownParameter* row = find_row(suffix.default_name))
                return row->help;
    return {};
}

constexpr auto table = [] {
    std::array<KnownParameter, std::size(rows)> all{};
    std::ranges::copy(rows, all.begin());
    for (KnownParameter& row : all)
        if (row.help.empty())
            row.help = shared_help(row.name);
    return all;
}();
static_assert(std::ranges::none_of(table, &std::string_view::empty, &KnownParameter::help));

// What the programs carry: the table without pointers.  Each of the views above would be a
// relocation, and 200 KB of memory of its own in each process before its first line runs.
struct Text {
    std::uint32_t at = 0;
    std::uint32_t size = 0;
};
using Texts = std::array<Text, 5>; // name, area, type, default value, help
constexpr std::array<std::string_view, 5> texts_of(const KnownParameter& row)
{
    return {row.name, row.area, row.type, row.default_value, row.help};
}

struct PackedRow {
    Texts texts{};
    ParameterStatus status{};
    ParameterOrigin origin{};
    std::uint8_t tier = 0;
};

constexpr std::size_t text_bytes = [] {
    std::size_t sum = 0;
    for (const KnownParameter& row : table)
        for (const std::string_view text : texts_of(row))
            sum += text.size();
    return sum;
}();

struct Packed {
    std::array<char, text_bytes> text{};
    std::array<PackedRow, table.size()> rows{};
};

constexpr Packed packed = [] {
    Packed all;
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < table.size(); ++i) {
        PackedRow& row = all.rows[i];
        row.status = table[i].status;
        row.origin = table[i].origin;
        row.tier = table[i].tier;
        Text* next = row.texts.data();
        for (const std::string_view text : texts_of(table[i])) {
            __builtin_memcpy(all.text.data() + at, text.data(), text.size());
            *next++ = {at, static_cast<std::uint32_t>(text.size())};
            at += static_cast<std::uint32_t>(text.size());
        }
    }
    return all;
}();

std::string_view view(const Text& text)
{
    return {packed.text.data() + text.at, text.size};
}

KnownParameter unpack(const PackedRow& row)
{
    return {.name = view(row.texts[0]),
            .status = row.status,
            .origin = row.origin,
            .tier = row.tier,
            .area = view(row.texts[1]),
            .type = view(row.texts[2]),
            .default_value = view(row.texts[3]),
            .help = view(row.texts[4])};
}

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

} // namespace

std::vector<KnownParameter> known_parameters()
{
    std::vector<KnownParameter> all;
    all.reserve(packed.rows.size());
    std::ranges::transform(packed.rows, std::back_inserter(all), unpack);
    return all;
}

std::optional<KnownParameter> find_known_parameter(std::string_view name)
{
    const auto name_of = [](const PackedRow& row) { return view(row.texts.front()); };
    const auto it = std::ranges::lower_bound(packed.rows, name, {}, name_of);
    if (it == packed.rows.end() || name_of(*it) != name)
        return std::nullopt;
    return unpack(*it);
}

std::string_view status_text(ParameterStatus status)
{
    switch (status) {
    case in_effect:
        return "in effect";
    case accepted:
        return "accepted, no effect needed";
    case not_yet:
        break;
    }
    return "known, not implemented yet";
}

std::optional<KnownParameter> describe_parameter(std::string_view name)
{
    if (const auto row = find_known_parameter(name))
        return row;
    const auto parts = split_transport_name(name);
    auto described = parts ? find_known_parameter(parts->default_name) : std::nullopt;
    if (!described)
        return std::nullopt;
    described->name = name;
    described->origin = service;
    return described;
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
