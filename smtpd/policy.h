// Who may send what to whom: the lists and tables that main.cf names, opened before
// the jail and shared by all sessions of the worker.
#pragma once

#include "filtered_resolver.h"
#include "params.h"
#include "policy_service.h"
#include "restrictions.h"

#include "ipc/channel.h"
#include "smtp/expansion_filter.h"
#include "table/address_lookup.h"
#include "table/domain_list.h"
#include "table/local_domains.h"
#include "table/table.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

// The step of a dialogue at which lists are evaluated.
enum class Step { connect, helo, mail, recipient, data, end_of_data, etrn };

// Whether mail can be sent to a domain, as its records in the DNS say; no_mail: it says itself
// that it takes none (RFC 7505).
enum class DomainFound { yes, no, no_mail, unknown };

// Whether we are among a domain's mail exchangers, and not the first.
enum class MxBackup { yes, no, unknown };

// Whether a recipient exists, as far as the tables of its domain's class say.
struct Listing {
    bool listed = true;
    std::string failure; // a table could not answer
    int code = 0;        // when not listed
    std::string status;  // "5.1.6"; empty: the one for unknown users
    std::string reason;  // "User unknown in local recipient table"
};

class Policy
{
public:
    // Reads the lists and opens the tables.  The error names place, parameter and
    // reason; restrictions that cannot be followed and tables that cannot be opened are no
    // error: they are logged, and mail that needs them waits.  params, rewriter and resolver (null:
    // nothing is asked of the DNS) must outlive the policy.
    static Result<std::unique_ptr<Policy>> open(const Config& config, const SmtpdParams& params,
                                                ipc::RewriteClient& rewriter,
                                                dns::Resolver* resolver = nullptr);

    // The verdict of all lists that belong to this step (smtpd_delay_reject moves
    // client, helo and sender restrictions to the recipient).  A verdict that does not refuse lets pass.
    Task<Verdict> check(Step step, const AccessSubject& subject) const;

    // Headers of this client's mail are ours to complete.  Fault::config: mynetworks cannot say.
    Task<Result<bool>> is_local_client(const Peer& client) const;
    Task<bool> forbids_bare_newline(const Peer& client) const;

    // A table has changed: the worker should hand over.
    bool is_stale() const;

    // From now on each rule's verdict is told (table/decision.h), and nobody outside is asked:
    // rules that need the DNS, a policy server or a probe are passed over.
    void explain_only() { explained_ = true; }
    bool is_explained() const { return explained_; }

    // ---- what rules ask ----
    const SmtpdParams& params() const { return params_; }
    ipc::RewriteClient& rewriter() const { return rewriter_; }
    dns::Resolver* resolver() const { return resolver_; }
    FilteredResolver& filtered_dns() const { return filtered_dns_; }

    // A class of smtpd_restriction_classes; null: none of this name, any case.
    const RestrictionList* find_class(std::string_view name) const;

    // The server that a list names, one for all lists; Fault::config.
    Result<PolicyServer*> policy_server(std::string_view text) const;

    // Never with a resolver that is null.
    Task<DomainFound> find_domain(std::string domain) const;
    Task<MxBackup> find_mx_backup(std::string domain) const;

    // Where address probes are asked for.
    ipc::Service& verify() const { return verify_; }

    // Replies for DNS lists: their table, what a $name in them stands for, and bytes that may not be
    // in a reply replaced (smtpd_expansion_filter).
    TableList& dns_list_replies() const { return dns_list_replies_; }
    std::optional<std::string> reply_macro(std::string_view name, const AccessSubject& subject) const;
    std::string expansion_filtered(std::string text) const
    {
        return expansion_filter_.filtered(std::move(text));
    }

    const MatchList& mynetworks() const { return mynetworks_; }
    const MatchList& permit_actions() const { return permit_actions_; }
    const std::string& version() const { return version_; } // mail_version
    TableList& client_certificates() const { return client_certificates_; }
    TableList& sender_logins() const { return sender_logins_; }
    const AddressKeyOptions& key_options() const { return key_options_; }
    bool is_own_address(std::string_view address) const;
    // A destination that mail is taken for from anybody.
    bool is_authorized(const ipc::Resolved& resolved) const;
    Task<Listing> listing_of(const ipc::Resolved& resolved) const;

private:
    Policy(const SmtpdParams& params, ipc::RewriteClient& rewriter, dns::Resolver* resolver)
        : params_(params), rewriter_(rewriter), resolver_(resolver), filtered_dns_(resolver),
          verify_("private/" + params.verify_service())
    {
    }

    void open_classes(const Config& config);
    void open_restrictions(const Config& config);
    Result<> open_lists(const Config& config);
    Task<bool> leads_to_us(std::string host) const;
    Task<bool> is_in_backup_networks(std::string host) const;
    Listing find_listing(const ipc::Resolved& resolved) const;
    void open_tables();
    Task<Verdict> check_client_and_helo(AccessCheck& check) const;
    Task<Verdict> check_sender(AccessCheck& check) const;
    Task<Verdict> check_recipient(AccessCheck& check, const AccessSubject& subject) const;

    const SmtpdParams& params_;
    ipc::RewriteClient& rewriter_;
    dns::Resolver* resolver_;
    mutable FilteredResolver filtered_dns_;
    mutable ipc::Service verify_;
    MatchList mynetworks_;
    MatchList bare_newline_exclusions_;
    MatchList permit_actions_;
    MatchList backup_networks_;
    LocalDomains own_addresses_;     // of inet_interfaces
    LocalDomains reached_addresses_; // those, and proxy_interfaces
    ExpansionFilter expansion_filter_;
    std::string version_;
    std::map<std::string, RestrictionList, std::less<>> classes_; // by name in lower case
    mutable std::map<std::string, std::unique_ptr<PolicyServer>, std::less<>> policy_servers_;
    AddressKeyOptions key_options_;
    bool explained_ = false;
    bool local_by_interface_ = false; // local_header_rewrite_clients
    bool local_by_network_ = false;
    bool checks_unlisted_ = true;
    std::string open_relay_; // why no recipient is taken: the lists would let anybody relay

    RestrictionList client_;
    RestrictionList helo_;
    RestrictionList sender_;
    RestrictionList relay_;
    RestrictionList recipient_;
    RestrictionList data_;
    RestrictionList end_of_data_;
    RestrictionList etrn_;

    // Looking up does not change what a table says, though it may move inside a file.
    mutable TableList canonical_;
    mutable TableList recipient_canonical_;
    mutable TableList aliases_;
    mutable TableList local_;
    mutable TableList mailboxes_;
    mutable TableList relays_;
    mutable TableList client_certificates_;
    mutable TableList sender_logins_;
    mutable TableList dns_list_replies_;
    bool listings_may_block_ = false;
};

} // namespace bulkhead
