// What local does with one recipient, in the order of local(8): aliases, .forward, mailbox
// transports and commands, mailboxes, and what is left for unknown users.  Deliveries are
// made as the walk meets them; addresses elsewhere are collected and sent as new messages
// at its end.  Only when all of that is safe the recipient is done.
#pragma once

#include "destination_list.h"
#include "local.h"
#include "recipient.h"

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bulkhead
{

class Walk
{
public:
    // stops: the message's Delivered-To: addresses, lower case.
    Walk(Local& local, Delivery& delivery, std::size_t index, const std::vector<std::string>& stops)
        : local_(local), delivery_(delivery), index_(index), stops_(stops)
    {
    }

    Task<> run();

private:
    static constexpr int deepest = 100;                   // aliases within aliases
    static constexpr std::size_t most_addresses = 10'000; // of one recipient, in all
    static constexpr std::size_t largest_file = 1 << 20;  // .forward and :include: files, bytes

    // The steps; true: it is this step's, nothing else is tried.
    Task<> deliver(LocalRecipient recipient);
    Task<bool> to_alias(const LocalRecipient& recipient);
    Task<bool> to_forward_file(const LocalRecipient& recipient, const Account& account);
    Task<bool> to_transport(const LocalRecipient& recipient, Local::PerRecipient table, std::string fallback);
    Task<> to_account(const LocalRecipient& recipient, const Account& account);
    Task<> to_unknown(const LocalRecipient& recipient);

    // What aliases and files name; `from` is who they stand for.
    Task<> to_destinations(const LocalRecipient& from, std::vector<Destination> destinations,
                           std::optional<Account> account);
    Task<> to_address(const LocalRecipient& from, std::string text, bool literal);
    Task<> to_command(const LocalRecipient& from, std::string command, std::optional<Account> account);
    Task<> to_file(const LocalRecipient& from, std::string path);
    Task<> to_include(const LocalRecipient& from, std::string path, std::optional<Account> account);
    Task<> send_forwards();

    Task<std::string> owner_sender(const LocalRecipient& recipient, const FoundAlias& alias, bool& found);
    std::vector<std::string> forward_paths(const LocalRecipient& recipient, const Account& account) const;

    Task<> conclude(const LocalRecipient& recipient, DeliveryStatus status);
    Task<> defer(const LocalRecipient& recipient, std::string reason, std::string dsn = "4.3.0");
    void count(ipc::DeliveryOutcome outcome);
    bool may_wait_alone(const LocalRecipient& recipient) const;
    void forward_to(const LocalRecipient& from, std::string address);
    bool is_new(std::string key) { return seen_.insert(std::move(key)).second; }
    LocalRecipient::Split split() const;
    const ipc::DeliveryRequest& request() const { return delivery_.request(); }

    Local& local_;
    Delivery& delivery_;
    std::size_t index_;
    const std::vector<std::string>& stops_;
    std::set<std::string> seen_; // addresses, aliases, commands and files that had their turn
    std::vector<ForwardGroup> forwards_;
    std::size_t addresses_ = 0;
    bool several_ = false; // there is more than one destination
    bool some_deferred_ = false;
    bool some_bounced_ = false;
    bool some_sent_ = false;
};

} // namespace bulkhead
