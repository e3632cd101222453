#include "table/address_lookup.h"

#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

struct Parts {
    std::string local;     // without the extension
    std::string extension; // with its delimiter; empty if there is none
    std::string domain;    // without '@'; empty if there is none
};

// The names that must reach their owner even where '-' or '+' delimits.
bool is_reserved(std::string_view local, char delimiter)
{
    constexpr std::array<std::string_view, 3> names{"postmaster", "mailer-daemon", "double-bounce"};
    if (std::ranges::find(names, local) != names.end())
        return true;
    return delimiter == '-' && (local.starts_with("owner-") || local.ends_with("-request"));
}

Parts split_address(std::string_view address, std::string_view delimiters)
{
    Parts parts;
    const std::string folded = lower(address);
    const auto at = folded.rfind('@');
    parts.local = folded.substr(0, at);
    if (at != folded.npos)
        parts.domain = folded.substr(at + 1);
    const auto cut = delimiters.empty() ? std::string::npos : parts.local.find_first_of(delimiters, 1);
    if (cut != std::string::npos && !is_reserved(parts.local, parts.local[cut])) {
        parts.extension = parts.local.substr(cut);
        parts.local.resize(cut);
    }
    return parts;
}

bool is_literal(std::string_view domain)
{
    return domain.starts_with('[');
}

// "c.b.a" -> ".b.a", ".a" (or without the dot).
void add_parents(std::vector<AddressKey>& keys, std::string_view domain, bool plain)
{
    if (is_literal(domain))
        return;
    for (auto dot = domain.find('.'); dot != domain.npos && dot + 1 < domain.size();
         dot = domain.find('.', dot + 1))
        keys.push_back({std::string(domain.substr(plain ? dot + 1 : dot)), true, {}});
}

std::string join(std::string_view local, std::string_view extension, std::string_view domain)
{
    return domain.empty() ? fmt::format("{}{}", local, extension)
                          : fmt::format("{}{}@{}", local, extension, domain);
}

// user+ext@dom, user@dom.
void add_full(std::vector<AddressKey>& keys, const Parts& parts)
{
    keys.push_back({join(parts.local, parts.extension, parts.domain), false, {}});
    if (!parts.extension.empty())
        keys.push_back({join(parts.local, {}, parts.domain), true, parts.extension});
}

// user+ext, user, when the domain is ours.
void add_bare(std::vector<AddressKey>& keys, const Parts& parts, const AddressKeyOptions& options)
{
    if (parts.domain.empty() || !options.is_local || !options.is_local(parts.domain))
        return;
    if (!parts.extension.empty())
        keys.push_back({parts.local + parts.extension, true, {}});
    keys.push_back({parts.local, true, parts.extension});
}

} // namespace

std::vector<AddressKey> mapping_keys(std::string_view address, const AddressKeyOptions& options)
{
    std::vector<AddressKey> keys;
    const Parts parts = split_address(address, options.recipient_delimiter);
    add_full(keys, parts);
    add_bare(keys, parts, options);
    if (!parts.domain.empty())
        keys.push_back({"@" + parts.domain, true, {}});
    return keys;
}

std::vector<AddressKey> mailbox_keys(std::string_view address, const AddressKeyOptions& options)
{
    return mapping_keys(address, options);
}

std::vector<AddressKey> transport_keys(std::string_view address, std::string_view null_key,
                                       const AddressKeyOptions& options)
{
    std::vector<AddressKey> keys;
    if (address.empty()) {
        keys.push_back({std::string(null_key), false, {}});
    } else {
        const Parts parts = split_address(address, options.recipient_delimiter);
        add_full(keys, parts);
        if (!parts.domain.empty()) {
            keys.push_back({parts.domain, true, {}});
            add_parents(keys, parts.domain, options.parent_matches_subdomains);
        }
    }
    keys.push_back({"*", true, {}});
    return keys;
}

std::vector<AddressKey> access_address_keys(std::string_view address, std::string_view null_key,
                                            const AddressKeyOptions& options)
{
    std::vector<AddressKey> keys;
    if (address.empty()) {
        keys.push_back({std::string(null_key), false, {}});
        return keys;
    }
    const Parts parts = split_address(address, options.recipient_delimiter);
    add_full(keys, parts);
    if (!parts.domain.empty()) {
        keys.push_back({parts.domain, true, {}});
        add_parents(keys, parts.domain, options.parent_matches_subdomains);
    }
    if (!parts.extension.empty())
        keys.push_back({parts.local + parts.extension + "@", true, {}});
    keys.push_back({parts.local + "@", true, {}});
    return keys;
}

std::vector<AddressKey> access_domain_keys(std::string_view domain, const AddressKeyOptions& options)
{
    const std::string folded = lower(domain);
    std::vector<AddressKey> keys{{folded, false, {}}};
    add_parents(keys, folded, options.parent_matches_subdomains);
    return keys;
}

std::vector<AddressKey> access_network_keys(std::string_view address)
{
    const std::string folded = lower(address);
    std::vector<AddressKey> keys{{folded, false, {}}};
    const char separator = folded.find(':') == folded.npos ? '.' : ':';
    std::string_view rest = folded;
    for (auto cut = rest.rfind(separator); cut != rest.npos && cut > 0; cut = rest.rfind(separator)) {
        rest = rest.substr(0, cut);
        while (rest.ends_with(separator))
            rest.remove_suffix(1);
        if (!rest.empty())
            keys.push_back({std::string(rest), true, {}});
    }
    return keys;
}

Lookup find_first(TableList& tables, const std::vector<AddressKey>& keys, AddressKey* matched)
{
    for (const AddressKey& key : keys) {
        Lookup answer = tables.find(key.key, key.partial);
        if (answer.is_absent())
            continue;
        if (matched != nullptr)
            *matched = key;
        return answer;
    }
    return Lookup::absent();
}

} // namespace bulkhead
