// smtpd_*_restrictions: lists of names, read at the start into rules, and evaluated
// one after the other for a client's command.  A word that nobody understands makes the
// mail that reaches it wait; what a rule needs to know of the world is in Policy.
#pragma once

#include "async/task.h"
#include "peer.h"
#include "verdict.h"

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
namespace tls
{
struct Facts;
}

// What is known of the session at this command.  Views live as long as the check.
struct AccessSubject {
    explicit AccessSubject(std::string_view stage_name, const Peer& peer) : stage(stage_name), client(peer) {}

    std::string_view stage; // "RCPT", as log lines have it
    const Peer& client;
    std::string_view helo;                     // empty: none yet
    std::optional<std::string_view> sender;    // internal form
    std::optional<std::string_view> recipient; // internal form
    std::string_view protocol;                 // "ESMTP"
    std::string_view queue_id;                 // empty: none yet
    bool broke_pipelining = false;
    const tls::Facts* tls = nullptr; // null: not encrypted
};

// Which parameter a list comes from: says what plain "reject" and a table without a
// check_ name are about.
enum class ListUse { client, helo, sender, recipient, data, end_of_data };

struct Restriction;

struct Rule {
    const Restriction* what = nullptr;
    ListUse use{};
    std::unique_ptr<TableList> tables; // of check_*_access
    std::string table_name;
    std::string problem; // of a rule that cannot be followed
};

class RestrictionList
{
public:
    RestrictionList() = default;

    // What is wrong with the list is in problems(); the mail that reaches the rule waits.
    static RestrictionList parse(std::string_view text, ListUse use);

    std::vector<std::string> problems() const;

    const std::vector<Rule>& rules() const { return rules_; }
    bool empty() const { return rules_.empty(); }
    bool is_stale() const;

    // Some rule of it can refuse to relay.
    bool can_stop_relaying() const;

private:
    std::vector<Rule> rules_;
};

// The evaluation of lists for one command; keeps what was resolved on the way.
class AccessCheck
{
public:
    AccessCheck(const Policy& policy, const AccessSubject& subject) : policy_(policy), subject_(subject) {}

    // The first rule that decides.
    Task<Verdict> run(const RestrictionList& list);

    // The answer while the configuration is wrong; logs the reason.
    Verdict server_error(std::string_view reason) const;

    // Implied at the end of the recipient's lists, and of the sender's where asked for.
    Task<Verdict> recipient_is_listed();
    Task<Verdict> sender_is_listed();

private:
    friend struct Restriction;
    friend struct RestrictionTable;

    Task<Verdict> permit(const Rule& rule);
    Task<Verdict> reject(const Rule& rule);
    Task<Verdict> defer(const Rule& rule);
    Task<Verdict> undecided(const Rule& rule);
    Task<Verdict> misconfigured(const Rule& rule);
    Task<Verdict> permit_mynetworks(const Rule& rule);
    Task<Verdict> permit_inet_interfaces(const Rule& rule);
    Task<Verdict> permit_certificates(const Rule& rule);
    Task<Verdict> permit_all_certificates(const Rule& rule);
    Task<Verdict> permit_auth_destination(const Rule& rule);
    Task<Verdict> reject_unauth_destination(const Rule& rule);
    Task<Verdict> defer_unauth_destination(const Rule& rule);
    Task<Verdict> reject_unlisted_recipient(const Rule& rule);
    Task<Verdict> reject_unlisted_sender(const Rule& rule);
    Task<Verdict> reject_unauth_pipelining(const Rule& rule);
    Task<Verdict> reject_non_fqdn_helo(const Rule& rule);
    Task<Verdict> reject_invalid_helo(const Rule& rule);
    Task<Verdict> reject_non_fqdn_sender(const Rule& rule);
    Task<Verdict> reject_non_fqdn_recipient(const Rule& rule);
    Task<Verdict> check_client_access(const Rule& rule);
    Task<Verdict> check_certificate_access(const Rule& rule);
    Task<Verdict> check_helo_access(const Rule& rule);
    Task<Verdict> check_sender_access(const Rule& rule);
    Task<Verdict> check_recipient_access(const Rule& rule);

    struct Resolution {
        std::string address; // what it is the resolution of
        ipc::Resolved resolved;
    };
    Task<Result<ipc::Resolved>> resolve(std::string_view address);
    Task<Verdict> is_listed(std::string_view address, bool is_sender);
    Task<Verdict> apply(const Rule& rule, const std::vector<AddressKey>& keys, std::string what);
    Verdict generic(const Rule& rule, int code, std::string_view dsn, std::string_view text) const;
    Verdict look_up_failed(std::string_view what, std::string_view reason) const;

    const Policy& policy_;
    const AccessSubject& subject_;
    std::optional<Resolution> recipient_;
    int depth_ = 0;
};

} // namespace bulkhead
