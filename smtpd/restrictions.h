// smtpd_*_restrictions: lists of names, read at the start into rules, and evaluated
// one after the other for a client's command.  A word that nobody understands makes the
// mail that reaches it wait; what a rule needs to know of the world is in Policy.
//
// The table of all names is in restrictions.cc; what each does is in restriction_*.cc,
// by what it is about.
#pragma once

#include "access_action.h"
#include "access_subject.h"
#include "dns/dns_lists.h"
#include "verdict.h"

#include "async/task.h"
#include "ipc/rewrite.h"
#include "table/address_lookup.h"
#include "table/table.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class Policy;
class AccessCheck;
class PolicyServer;

// Which parameter a list comes from: says what plain "reject" and a table without a
// check_ name are about.
enum class ListUse { client, helo, sender, recipient, data, end_of_data, etrn };

// What of the session a restriction looks at, and by which records of the DNS.
enum class Part { none, client, reverse_client, helo, sender, recipient, etrn, certificate, login };
enum class Via { itself, a, mx, ns };

// What stands behind a restriction's name in a list.
enum class Argument { none, table, dns_list, policy_server, seconds };

struct Rule;

struct Restriction {
    std::string_view name;
    Task<Verdict> (AccessCheck::*evaluate)(const Rule& rule);
    Argument argument = Argument::none;
    Part part = Part::none;
    Via via = Via::itself;
    bool stops_relaying = false;
};

struct Rule {
    const Restriction* what = nullptr;
    std::string text;                  // the argument, or the name of a restriction class
    std::unique_ptr<TableList> tables; // of Argument::table
    std::optional<DnsList> dns_list;   // of Argument::dns_list
    PolicyServer* server = nullptr;    // of Argument::policy_server
    unsigned seconds = 0;              // of Argument::seconds
    std::string problem;               // of a rule that cannot be followed
};

class RestrictionList
{
public:
    RestrictionList() = default;

    // What is wrong with the list is in problems(); the mail that reaches the rule waits.
    // policy knows restriction classes and policy servers; null: there are none.
    static RestrictionList parse(std::string_view text, const Policy* policy = nullptr);

    // The same in two steps, for lists that are named while sessions run: opening tables may take
    // its time, and is for a thread of the pool.
    static RestrictionList parse_names(std::string_view text, const Policy* policy);
    void open_tables();
    bool has_tables() const;

    std::vector<std::string> problems() const;

    const std::vector<Rule>& rules() const { return rules_; }
    bool empty() const { return rules_.empty(); }
    bool is_stale() const;

    // The name that it has in main.cf, for those who explain; empty for a list out of a table.
    void set_parameter(std::string name) { parameter_ = std::move(name); }
    const std::string& parameter() const { return parameter_; }

    // Some rule of it, or of the classes that it names, can refuse to relay.
    bool can_stop_relaying(const Policy* policy = nullptr, int depth = 0) const;

private:
    std::vector<Rule> rules_;
    std::string parameter_;
};

// The evaluation of lists for one command; keeps what was resolved on the way.
class AccessCheck
{
public:
    AccessCheck(const Policy& policy, const AccessSubject& subject) : policy_(policy), subject_(subject) {}

    // The first rule that decides.
    Task<Verdict> run(const RestrictionList& list, ListUse use);

    // The end of a step: mail that would pass waits if a rule of some list has said so
    // (defer_if_permit).
    Verdict conclude(Verdict verdict) const;

    // The answer while the configuration is wrong; logs the reason.
    Verdict server_error(std::string_view reason) const;

    // Implied at the end of the recipient's lists, and of the sender's where asked for.
    Task<Verdict> recipient_is_listed();
    Task<Verdict> sender_is_listed();

private:
    friend struct RestrictionTable;

    // ---- restrictions.cc ----
    Task<Verdict> run_rules(const std::vector<Rule>& rules);
    std::optional<Verdict> settle(Verdict verdict, bool warns);
    Task<> log_permit(std::string_view name);
    Task<Verdict> misconfigured(const Rule& rule);
    Task<Verdict> follow_class(const Rule& rule);
    Verdict refusal(int code, std::string_view dsn, std::string text) const;
    Verdict generic(int code, std::string_view dsn, std::string_view text) const;
    Verdict tempfail(std::string_view action, const Verdict& later);
    Verdict look_up_failed(std::string_view what, std::string_view reason) const;
    std::string rejected(Part part) const;
    std::string list_rejected() const;
    std::string class_and_name(Part part, std::string_view form = "<{}>: {}") const;
    Part list_part() const;
    Result<int> enter();
    void log_access(std::string_view what, std::string_view text) const;

    // ---- restriction_told.cc: the decisions, to who explains them ----
    static bool asks_others(const Rule& rule);
    void tell(const Rule& rule, const Verdict& verdict) const;
    void tell_not_asked(const Rule& rule) const;

    // ---- restriction_generic.cc ----
    Task<Verdict> permit(const Rule& rule);
    Task<Verdict> reject(const Rule& rule);
    Task<Verdict> defer(const Rule& rule);
    Task<Verdict> defer_if_permit(const Rule& rule);
    Task<Verdict> defer_if_reject(const Rule& rule);
    Task<Verdict> warn_if_reject(const Rule& rule);
    Task<Verdict> pause(const Rule& rule);
    Task<Verdict> reject_plaintext_session(const Rule& rule);
    Task<Verdict> reject_unauth_pipelining(const Rule& rule);
    Task<Verdict> check_policy_service(const Rule& rule);

    // ---- restriction_client.cc ----
    Task<Verdict> permit_mynetworks(const Rule& rule);
    Task<Verdict> permit_inet_interfaces(const Rule& rule);
    Task<Verdict> permit_certificates(const Rule& rule);
    Task<Verdict> permit_all_certificates(const Rule& rule);
    Task<Verdict> permit_logged_in(const Rule& rule);

    // ---- restriction_login.cc ----
    Task<Lookup> sender_owners();
    Task<Verdict> reject_foreign_sender(bool only_known);
    Task<Verdict> reject_unauthenticated_sender(const Rule& rule);
    Task<Verdict> reject_authenticated_sender(const Rule& rule);
    Task<Verdict> reject_sender_login(const Rule& rule);
    Task<Verdict> reject_known_sender_login(const Rule& rule);

    Task<Verdict> reject_unknown_client(const Rule& rule);
    Task<Verdict> reject_unknown_reverse_client(const Rule& rule);
    Task<Verdict> reject_unknown_forward_client(const Rule& rule);
    Task<Verdict> reject_non_fqdn_helo(const Rule& rule);
    Task<Verdict> reject_invalid_helo(const Rule& rule);
    Task<Verdict> reject_unknown_helo(const Rule& rule);
    Task<Verdict> permit_naked_address(const Rule& rule);

    // ---- restriction_address.cc: senders and recipients ----
    Task<Verdict> permit_auth_destination(const Rule& rule);
    Task<Verdict> permit_mx_backup(const Rule& rule);
    Task<Verdict> reject_unauth_destination(const Rule& rule);
    Task<Verdict> defer_unauth_destination(const Rule& rule);
    Task<Verdict> check_relay_domains(const Rule& rule);
    Task<Verdict> reject_unlisted_recipient(const Rule& rule);
    Task<Verdict> reject_unlisted_sender(const Rule& rule);
    Task<Verdict> reject_non_fqdn_address(const Rule& rule);
    Task<Verdict> reject_unknown_domain(const Rule& rule);
    Task<Verdict> reject_unverified(const Rule& rule);
    Task<Verdict> reject_multi_recipient_bounce(const Rule& rule);
    Task<Result<ipc::Resolved>> resolve(std::string_view address);
    Task<Verdict> is_listed(std::string_view address, bool is_sender);
    Task<bool> may_permit();

    // ---- restriction_access.cc: tables, and what they answer ----
    Task<Verdict> check_access(const Rule& rule);
    Task<Verdict> check_implied_access(const Rule& rule);
    Task<Verdict> check_part(const Rule& rule, Part part, Via via);
    Task<Verdict> check_hosts(const Rule& rule, Part part, Via via, std::string name);
    Task<std::vector<std::string>> hosts_of(std::string name, Via via);
    Task<std::vector<AddressKey>> host_keys(std::string host, bool with_name);
    Task<Verdict> look_up(const Rule& rule, const std::vector<AddressKey>& keys, Part part);
    Task<Verdict> act(AccessAction action, Part part, std::string_view source);
    Verdict act_on_message(const AccessAction& action, Part part, std::string_view source);
    Task<Verdict> run_named(std::string names, std::string_view source);
    std::optional<std::string_view> name_of(Part part) const;

    // ---- restriction_dns_list.cc ----
    Task<Verdict> reject_listed(const Rule& rule);
    Task<Verdict> permit_listed(const Rule& rule);
    Task<Verdict> reject_old_lists(const Rule& rule);
    std::string dns_list_question(const DnsList& list, Part part) const;
    Task<DnsListing> ask_dns_list(const DnsList& list, Part part);
    Task<> ask_ahead(const std::vector<Rule>& rules, std::size_t first);
    Task<Verdict> refuse_listed(const DnsList& list, Part part, std::string question);

    struct Resolution {
        std::string address; // what it is the resolution of
        ipc::Resolved resolved;
    };

    const Policy& policy_;
    const AccessSubject& subject_;
    std::optional<Resolution> resolution_;
    std::optional<Reply> defer_if_permit_; // what the client is told then
    std::optional<Reply> defer_if_reject_;
    ListUse use_{};
    std::string_view parameter_; // of the list that runs
    bool warns_ = false;         // warn_if_reject: the rule that runs may only warn
    bool warn_next_ = false;
    bool told_permit_ = false;    // the log has it
    std::size_t asked_ahead_ = 0; // rules of the list that runs
    int depth_ = 0;
};

// A name that needs no completing: with a dot in it, or an address literal.
bool is_fully_qualified(std::string_view host);

// The fingerprints of the client's certificate and of its key, as keys of tables.
std::vector<AddressKey> fingerprint_keys(const tls::Facts& facts);

} // namespace bulkhead
