// Which keys to try for an address, in order, as the manual pages of each kind of
// table say.  Keys are folded to lower case.  (compat/feature-map.md, "Table keys")
#pragma once

#include "table/table.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// One key of a sequence.  Partial keys are not shown to pattern tables.
struct AddressKey {
    std::string key;
    bool partial = false;
    std::string extension; // what was cut off, with its delimiter: canonical(5) puts it back
};

struct AddressKeyOptions {
    std::string_view recipient_delimiter{};                  // each character delimits; empty: none
    std::function<bool(std::string_view domain)> is_local{}; // for the bare-user keys
    bool parent_matches_subdomains = false; // "domain" also covers sub.domain; else ".domain" does
};

// canonical(5), virtual(5), generic(5): user+ext@dom, user@dom, user+ext, user, @dom.
std::vector<AddressKey> mapping_keys(std::string_view address, const AddressKeyOptions& options);

// transport(5): user+ext@dom, user@dom, domain, parents, "*"; "<>"-like null sender has only its own key.
std::vector<AddressKey> transport_keys(std::string_view address, std::string_view null_key,
                                       const AddressKeyOptions& options);

// access(5) on a mail address: user+ext@dom, user@dom, domain and parents, user+ext@, user@.
std::vector<AddressKey> access_address_keys(std::string_view address, std::string_view null_key,
                                            const AddressKeyOptions& options);

// access(5) on a host name: name, then its parents.
std::vector<AddressKey> access_domain_keys(std::string_view domain, const AddressKeyOptions& options);

// access(5) on a network address: the address, then shorter and shorter prefixes.
std::vector<AddressKey> access_network_keys(std::string_view address);

// mailbox tables (virtual_mailbox_maps, local_recipient_maps, relay_recipient_maps):
// user+ext@dom, user@dom, then user+ext and user for a local domain, then @dom.
std::vector<AddressKey> mailbox_keys(std::string_view address, const AddressKeyOptions& options);

// Asks for the keys in order; matched (if given) gets the key that hit.
Lookup find_first(TableList& tables, const std::vector<AddressKey>& keys, AddressKey* matched = nullptr);

} // namespace bulkhead
