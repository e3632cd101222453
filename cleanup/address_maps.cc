#include "address_maps.h"

#include "base/text.h"
#include "mail/address.h"
#include "table/decision.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

constexpr std::array<std::string_view, 4> role_names = {"envelope_sender", "envelope_recipient",
                                                        "header_sender", "header_recipient"};

constexpr unsigned bit_of(AddressRole role)
{
    return 1u << static_cast<unsigned>(role);
}

Result<unsigned> parse_roles(const Param<std::vector<std::string>>& param)
{
    unsigned roles = 0;
    for (const std::string& name : param()) {
        const auto found = std::ranges::find(role_names, name);
        if (found == role_names.end())
            return Error{Fault::config, fmt::format("{}: unknown class \"{}\"", param.name(), name)};
        roles |= 1u << (found - role_names.begin());
    }
    return roles;
}

} // namespace

std::vector<std::string> split_addresses(std::string_view list)
{
    std::vector<std::string> addresses;
    std::size_t begin = 0;
    bool quoted = false;
    for (std::size_t i = 0; i <= list.size(); ++i) {
        const bool at_end = i == list.size();
        if (!at_end && list[i] == '\\' && quoted) {
            ++i;
            continue;
        }
        if (!at_end && list[i] == '"')
            quoted = !quoted;
        if (!at_end && (quoted || (list[i] != ',' && !is_blank(list[i]) && list[i] != '\n')))
            continue;
        const std::string_view one = list.substr(begin, std::min(i, list.size()) - begin);
        begin = i + 1;
        if (one.empty())
            continue;
        auto internal = unquote(one);
        addresses.push_back(internal ? *std::move(internal) : std::string(one));
    }
    return addresses;
}

AddressMaps::Map AddressMaps::open_map(const Param<std::string>& param, bool propagates_extension)
{
    return Map{param.name(), TableList::open(param), propagates_extension};
}

Result<AddressMaps> AddressMaps::open(const CleanupParams& params)
{
    const auto propagates = [&](std::string_view name) {
        return std::ranges::find(params.propagate_extensions(), name) != params.propagate_extensions().end();
    };
    const bool canonical = propagates("canonical");
    const bool virtual_alias = propagates("virtual");

    AddressMaps maps;
    LocalDomains::Settings settings{params.mydestination(), params.inet_interfaces(),
                                    params.proxy_interfaces()};
    TRY(maps.local_, LocalDomains::open(settings));
    maps.myorigin_ = params.myorigin();
    maps.delimiter_ = params.recipient_delimiter();
    maps.canonical_ = open_map(params.canonical_maps, canonical);
    maps.sender_canonical_ = open_map(params.sender_canonical_maps, canonical);
    maps.recipient_canonical_ = open_map(params.recipient_canonical_maps, canonical);
    maps.aliases_ = open_map(params.virtual_alias_maps, virtual_alias);
    maps.sender_bcc_ = open_map(params.sender_bcc_maps, false);
    maps.recipient_bcc_ = open_map(params.recipient_bcc_maps, false);
    TRY(maps.canonical_roles_, parse_roles(params.canonical_classes));
    TRY(maps.sender_canonical_roles_, parse_roles(params.sender_canonical_classes));
    TRY(maps.recipient_canonical_roles_, parse_roles(params.recipient_canonical_classes));
    maps.masquerade_domains_ = params.masquerade_domains();
    TRY(maps.masquerade_exceptions_, MatchList::open(params.masquerade_exceptions()));
    TRY(maps.masquerade_roles_, parse_roles(params.masquerade_classes));
    maps.may_block_ = maps.local_.may_block() || maps.masquerade_exceptions_.may_block();
    for (const Map* map : {&maps.canonical_, &maps.sender_canonical_, &maps.recipient_canonical_,
                           &maps.aliases_, &maps.sender_bcc_, &maps.recipient_bcc_})
        maps.may_block_ = maps.may_block_ || map->tables.may_block();
    return maps;
}

bool AddressMaps::has_canonical(AddressRole role) const
{
    const unsigned bit = bit_of(role);
    return ((canonical_roles_ & bit) && !canonical_.tables.empty()) ||
           ((sender_canonical_roles_ & bit) && !sender_canonical_.tables.empty()) ||
           ((recipient_canonical_roles_ & bit) && !recipient_canonical_.tables.empty());
}

Mapped AddressMaps::canonical(AddressRole role, int step, std::string_view address)
{
    const bool sender = role == AddressRole::envelope_sender || role == AddressRole::header_sender;
    Map& own = sender ? sender_canonical_ : recipient_canonical_;
    const unsigned own_roles = sender ? sender_canonical_roles_ : recipient_canonical_roles_;
    if (step == 0)
        return own_roles & bit_of(role) ? ask(own, address) : Mapped{};
    return canonical_roles_ & bit_of(role) ? ask(canonical_, address) : Mapped{};
}

bool AddressMaps::has_masquerade(AddressRole role) const
{
    return (masquerade_roles_ & bit_of(role)) && !masquerade_domains_.empty();
}

// The first domain of the list that covers the address decides: "!domain" leaves it alone.
Result<std::string> AddressMaps::masquerade(std::string address) const
{
    const AddressParts parts = split_address(address);
    if (!parts.has_domain)
        return address;
    const ListMatch exception = masquerade_exceptions_.match(parts.local);
    if (exception.is_broken())
        return Error{Fault::broken, "masquerade_exceptions lookup problem: " + exception.reason};
    if (exception)
        return address;
    for (std::string_view masked : masquerade_domains_) {
        const bool excludes = masked.starts_with('!');
        masked.remove_prefix(excludes ? 1 : 0);
        if (equals_ignoring_case(parts.domain, masked))
            return address;
        if (!ends_with_ignoring_case(parts.domain, "." + std::string(masked)))
            continue;
        if (excludes)
            return address;
        std::string masqueraded = std::string(parts.local) + '@' + std::string(masked);
        tell_decision({"masquerade_domains", "", address, masqueraded});
        return masqueraded;
    }
    return address;
}

Mapped AddressMaps::ask(Map& map, std::string_view address)
{
    if (map.tables.empty() || address.empty())
        return {};
    AddressKeyOptions options;
    options.recipient_delimiter = delimiter_;
    std::string list_failure;
    options.is_local = [&](std::string_view domain) {
        const ListMatch local = local_.contains(domain);
        if (local.is_broken())
            list_failure = local.reason;
        return static_cast<bool>(local) || equals_ignoring_case(domain, myorigin_);
    };
    AddressKey matched;
    const Lookup answer = find_first(map.tables, mapping_keys(address, options), &matched);
    if (answer.is_broken() || !list_failure.empty())
        return {{},
                fmt::format("{} map lookup problem for {}", map.name, address),
                answer.is_broken() ? answer.reason() : list_failure};
    if (answer.is_absent())
        return {};

    Mapped mapped;
    for (std::string& one : split_addresses(answer.value())) {
        if (one.starts_with('@') && one.size() > 1) // another domain, the same user
            one.insert(0, split_address(address).local);
        else if (map.propagates_extension && !matched.extension.empty())
            one = with_extension(one, matched.extension);
        mapped.addresses.push_back(std::move(one));
    }
    if (mapped.addresses.empty())
        mapped.fault = fmt::format("{} gives no address for {}", map.name, address);
    return mapped;
}

bool AddressMaps::empty() const
{
    return canonical_.tables.empty() && sender_canonical_.tables.empty() &&
           recipient_canonical_.tables.empty() && aliases_.tables.empty() && sender_bcc_.tables.empty() &&
           recipient_bcc_.tables.empty() && masquerade_domains_.empty();
}

bool AddressMaps::is_stale() const
{
    return local_.is_stale() || canonical_.tables.is_stale() || sender_canonical_.tables.is_stale() ||
           recipient_canonical_.tables.is_stale() || aliases_.tables.is_stale() ||
           masquerade_exceptions_.is_stale() || sender_bcc_.tables.is_stale() ||
           recipient_bcc_.tables.is_stale();
}

} // namespace bulkhead
