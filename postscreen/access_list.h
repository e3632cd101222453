// postscreen_access_list: what is settled about a client by its address alone.
#pragma once

#include "base/result.h"
#include "table/domain_list.h"
#include "table/table.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// broken: a table does not answer; the client is tested like any other.
enum class Access { undecided, permit, reject, broken };

class AccessList
{
public:
    // "permit_mynetworks, cidr:/etc/x, static:permit, reject"; tables answer with permit, reject or
    // dunno.  mynetworks: the parameter's value.  Opens everything, so that it works after chroot.
    // Fault::config: a word that means nothing.
    static Result<AccessList> open(const std::vector<std::string>& words, const std::string& mynetworks);

    // The first element that decides; reason is set when a table is broken.
    Access find(std::string_view address, std::string& reason) const;

    bool may_block() const;
    bool is_stale() const;

private:
    struct Element {
        Access answer = Access::undecided; // of a word, and of mynetworks
        std::unique_ptr<MatchList> networks;
        std::unique_ptr<Table> table;
    };
    static Access ask_table(Table& table, std::string_view address, std::string& reason);

    std::vector<Element> elements_;
};

// permit, reject, dunno (in any case), or "OK"; nullopt for other words.
std::optional<Access> access_word(std::string_view word);

} // namespace bulkhead
