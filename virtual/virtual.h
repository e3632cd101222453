// virtual: the delivery agent for mailboxes that tables name.  It runs as the mail
// system's user and becomes a mailbox's owner only in the thread and for the time
// of one delivery.
#pragma once

#include "delivery/mailbox_path.h"
#include "delivery/mbox.h"
#include "delivery/message_copy.h"
#include "params.h"

#include "async/key_lock.h"
#include "table/table.h"
#include "worker/delivery_agent.h"

#include <expected>
#include <string>
#include <vector>

namespace bulkhead
{

class Virtual final : public DeliveryAgent
{
public:
    ParamSet& params() override { return params_; }
    JailPolicy jail_policy() const override;
    Result<> before_jail() override;
    Task<> deliver(Delivery& delivery) override;
    std::string status_filter() const override { return params_.status_filter(); }
    bool must_hand_over() override;

private:
    struct Target {
        MailboxPath path;
        MailboxOwner owner;
    };

    // Why there is no mailbox to deliver to, with its line for the log (which a look-up
    // thread does not write).
    struct NoTarget {
        NoTarget(DeliveryStatus what, std::string text) : status(std::move(what)), warning(std::move(text)) {}
        DeliveryStatus status;
        std::string warning; // empty: none
    };

    std::expected<Target, NoTarget> find_target(const std::string& recipient);
    static NoTarget misconfigured(const std::string& recipient, std::string_view why);
    std::expected<unsigned, NoTarget> find_id(TableList& table, const std::string& name,
                                              const std::string& recipient, unsigned minimum);
    Lookup find(TableList& table, const std::string& recipient) const;
    Task<DeliveryStatus> deliver_one(const Delivery& delivery, std::size_t index,
                                     const std::vector<std::string>& stops);
    Task<Result<>> write_mailbox(const Target& target, const MessageCopy& message);
    Task<Result<>> write_patiently(const Target& target, const MessageCopy& message);
    Result<> write_once(const Target& target, const MessageCopy& message) const;

    VirtualParams params_;
    TableList mailboxes_;
    TableList uids_;
    TableList gids_;
    MboxLocks locks_;
    std::int64_t limit_ = 0;
    KeyLock mailbox_files_; // by path: our own deliveries need not wait for the clock
};

} // namespace bulkhead
