// Lists that a name or an address is on or not: mydestination, relay_domains,
// mynetworks, authorized_mailq_users.  Elements: a literal, /file (its lines are
// elements), type:table, !element.  The first element that matches decides.
#pragma once

#include "base/result.h"
#include "table/table.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// broken carries why: it must become a temporary failure, never "no".
enum class Membership { no, yes, broken };

struct ListMatch {
    Membership answer = Membership::no;
    std::string reason; // when broken

    explicit operator bool() const { return answer == Membership::yes; }
    bool is_broken() const { return answer == Membership::broken; }
};

enum class ListKind {
    strings,   // the element equals the name, letters' case aside
    domains,   // also: an element matches subdomains, see parent_matches_subdomains
    hosts,     // domains and network addresses in one list, for match_either()
    addresses, // network addresses: a.b.c.d/n, [v6]/n, host addresses
};

struct ListOptions {
    ListKind kind = ListKind::strings;
    bool parent_matches_subdomains = false; // "example.com" covers x.example.com; ".example.com" always does
    std::string parameter{};                // for messages
};

class MatchList
{
public:
    MatchList();
    MatchList(MatchList&&) noexcept;
    MatchList& operator=(MatchList&&) noexcept;
    ~MatchList();

    // Opens tables and reads files now, so that it works after chroot.  A bad network, a file
    // that cannot be read or a table that cannot be opened is logged, and breaks the look-ups that
    // come to it; a process that starts after the repair reads it again.
    static Result<MatchList> open(std::string_view list, const ListOptions& options = {});

    // name: a domain, a user, or for addresses a printable IP address without brackets.
    ListMatch match(std::string_view name) const;

    // What is known by a name and an address: the first element that matches one of them decides.
    // The address may be empty.
    ListMatch match_either(std::string_view name, std::string_view address) const;

    bool empty() const;
    bool may_block() const; // a table of it: use co_await ask() of ask.h
    bool is_stale() const;

private:
    struct Element;
    std::vector<Element> elements_;
    ListOptions options_;
};

} // namespace bulkhead
