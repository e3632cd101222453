// Where mail for a recipient goes: values and tables in, transport, next hop and
// recipient out.  Knows nothing of sockets, DNS or queues.  The order of the
// questions is that of compat/feature-map.md, "Resolve order".
#pragma once

#include "base/result.h"
#include "ipc/rewrite.h"
#include "routing/canonical.h"
#include "table/address_lookup.h"
#include "table/domain_list.h"
#include "table/local_domains.h"
#include "table/table.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct RoutingValues {
    CanonicalRules rules;
    std::string myhostname;
    std::string empty_address_recipient = "MAILER-DAEMON";
    std::string local_transport = "local"; // each "transport" or "transport:nexthop"
    std::string virtual_transport = "virtual";
    std::string relay_transport = "relay";
    std::string default_transport = "smtp";
    std::string relayhost;
    std::string null_relayhost_key = "<>";
    std::string null_transport_key = "<>";
    std::string recipient_delimiter;
    bool resolve_dequoted_address = true;
    bool resolve_null_domain = false;
    bool resolve_numeric_domain = false;
    bool show_table_name = true;
    bool allow_min_user = false;            // recipients that begin with "-"
    bool parents_in_transport_maps = false; // parent_domain_matches_subdomains
};

struct RoutingTables {
    LocalDomains local;
    MatchList virtual_alias_domains;
    MatchList virtual_mailbox_domains;
    MatchList relay_domains;
    TableList transport;
    TableList sender_recipient_transport;
    TableList sender_default_transport;
    TableList sender_relayhost;
    TableList relocated;

    bool may_block() const;
    bool is_stale() const;
};

// The keys of sender_recipient_transport_maps in their order: for the most special form of
// the sender all forms of the recipient, then for the next one.  The forms are those of
// transport(5); "<>" is the null sender.
std::vector<AddressKey> pair_keys(std::string_view sender, std::string_view recipient,
                                  const AddressKeyOptions& options);

class Resolver
{
public:
    Resolver(RoutingValues values, RoutingTables tables);

    // resolve() may wait for another process: use co_await ask().
    bool may_block() const { return may_block_; }

    // Addresses in internal form, an empty sender being the null sender.  An address
    // that cannot have mail is an answer too: transport error.  Fault::broken: a table
    // failed, ask again later.
    Result<ipc::Resolved> resolve(std::string_view sender, std::string_view address);

    std::string rewrite(ipc::RewriteContext context, std::string_view address) const
    {
        return canonical_form(values_.rules, context, address);
    }

    bool is_stale() const { return tables_.is_stale(); }

private:
    Result<std::string> routed_address(std::string_view address);
    Result<ipc::AddressClass> class_of(std::string_view domain);
    Result<> choose_by_class(std::string_view sender, std::string_view domain, ipc::Resolved& route);
    Result<std::string> relay_hop(std::string_view sender, std::string_view domain);
    Result<> choose_by_tables(std::string_view sender, std::string_view domain, ipc::Resolved& route);
    Result<> look_for_new_home(ipc::Resolved& route);
    AddressKeyOptions transport_key_options() const;

    RoutingValues values_;
    CanonicalRules route_rules_; // for what stands inside of a local part
    RoutingTables tables_;
    bool may_block_;
};

} // namespace bulkhead
