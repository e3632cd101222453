// The tables that change addresses: canonical_maps and its relatives,
// virtual_alias_maps, the bcc maps.  One question at a time, no I/O but the tables'
// own; completing what they answer is the caller's.  Where may_block() says so, the
// questions are asked with co_await ask().
#pragma once

#include "params.h"
#include "table/address_lookup.h"
#include "table/domain_list.h"
#include "table/local_domains.h"
#include "table/table.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// What an address is for.
enum class AddressRole { envelope_sender, envelope_recipient, header_sender, header_recipient };

// What a table says about an address: nothing, addresses, or that it failed.
struct Mapped {
    std::vector<std::string> addresses; // internal form, perhaps incomplete; empty: absent
    std::string fault;                  // not empty: "canonical_maps map lookup problem for a@b"
    std::string reason;                 // which table failed and why, for the log

    bool is_found() const { return !addresses.empty(); }
    bool is_broken() const { return !fault.empty(); }
};

class AddressMaps
{
public:
    AddressMaps() = default;

    // Opens all tables: before the jail.  Fault::config names the parameter.
    static Result<AddressMaps> open(const CleanupParams& params);

    bool has_canonical(AddressRole role) const;
    bool has_aliases() const { return !aliases_.tables.empty(); }

    // The table of the role first, then what canonical_maps make of its answer: call
    // with step 0, complete the answer, then with step 1.
    static constexpr int canonical_steps = 2;
    Mapped canonical(AddressRole role, int step, std::string_view address);

    // masquerade_domains: the address with subdomains cut off, or as it is.
    bool has_masquerade(AddressRole role) const;
    Result<std::string> masquerade(std::string address) const;

    Mapped aliases(std::string_view recipient) { return ask(aliases_, recipient); }
    Mapped sender_bcc(std::string_view sender) { return ask(sender_bcc_, sender); }
    Mapped recipient_bcc(std::string_view recipient) { return ask(recipient_bcc_, recipient); }

    bool empty() const; // no address is ever changed
    bool may_block() const { return may_block_; }
    bool is_stale() const;

private:
    struct Map {
        std::string name;
        TableList tables;
        bool propagates_extension = false;
    };
    static Map open_map(const Param<std::string>& param, bool propagates_extension);
    Mapped ask(Map& map, std::string_view address);

    LocalDomains local_;
    std::string myorigin_;
    std::string delimiter_;
    std::vector<std::string> masquerade_domains_;
    MatchList masquerade_exceptions_;
    unsigned masquerade_roles_ = 0;
    Map canonical_;
    Map sender_canonical_;
    Map recipient_canonical_;
    Map aliases_;
    Map sender_bcc_;
    Map recipient_bcc_;
    unsigned canonical_roles_ = 0; // bit per AddressRole
    unsigned sender_canonical_roles_ = 0;
    unsigned recipient_canonical_roles_ = 0;
    bool may_block_ = false;
};

// "a@b, joe \"c d\"@e" -> internal forms.  Separators are commas and blanks.
std::vector<std::string> split_addresses(std::string_view list);

} // namespace bulkhead
