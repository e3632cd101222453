// local: the delivery agent for users of this system.  What to do with an address is in
// walk.h; here is how it is done: mailboxes, commands, other agents, new messages.
//
// The process itself runs as the mail system's user.  A pool thread becomes the recipient
// (for file access only) while it writes his mailbox or reads his .forward; commands are
// started by a process that can become users and nothing else.
#pragma once

#include "alias_tables.h"
#include "params.h"
#include "recipient.h"

#include "async/key_lock.h"
#include "delivery/command_run.h"
#include "delivery/mailbox_path.h"
#include "delivery/mbox.h"
#include "delivery/message_copy.h"
#include "ipc/cleanup.h"
#include "ipc/rewrite.h"
#include "table/table.h"
#include "worker/delivery_agent.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

// The addresses that one new message is for.
struct ForwardGroup {
    std::string sender;
    std::string delivered_to;
    std::vector<std::string> recipients; // internal form
};

class Local final : public DeliveryAgent
{
public:
    ParamSet& params() override { return params_; }
    JailPolicy jail_policy() const override;
    Result<> before_jail() override;
    Task<> deliver(Delivery& delivery) override;
    std::string status_filter() const override { return params_.status_filter(); }
    bool wants_attributes() const override { return true; }
    bool must_hand_over() override;

    const LocalParams& settings() const { return params_; }
    AliasTables& aliases() { return aliases_; }
    ipc::RewriteClient& rewriter() { return *rewriter_; }
    // With whose rights commands and files are used: nobody's own, root's and the mail system's
    // own are those of default_privs.
    CommandIdentity rights_or_default(const std::optional<CommandIdentity>& rights) const
    {
        return !rights || rights->uid == 0 || rights->uid == mail_owner_ ? default_rights_ : *rights;
    }

    // A per-recipient table's answer for this recipient: by user, then by address.
    enum class PerRecipient { mailbox_transport, mailbox_command, fallback_transport };
    Task<Lookup> find(PerRecipient which, const LocalRecipient& recipient);

    // A mailbox: base is an existing folder, value the path below it, with a final / a Maildir.
    // shown_file: for /file destinations, whose status says "file: ..." .
    struct Mailbox {
        std::string base;
        std::string value;
        CommandIdentity owner;
        std::string user;       // in messages
        std::string shown_file; // empty: "mailbox" or "maildir"
        bool spool = false;     // mail_spool_directory: the folder's group may write there
    };
    Task<DeliveryStatus> write(const Delivery& delivery, const LocalRecipient& recipient,
                               const Mailbox& mailbox);

    Task<DeliveryStatus> run(const Delivery& delivery, const LocalRecipient& recipient,
                             const std::string& command, CommandIdentity rights, const Account* account);

    // Another agent delivers; it logs and tells what came of it.
    Task<Result<ipc::DeliveryOutcome>> pass(const Delivery& delivery, std::size_t index,
                                            const LocalRecipient& recipient, std::string_view route);

    // The new message's queue id, once it is durable.
    Task<Result<std::string>> forward(const Delivery& delivery, std::size_t index, const ForwardGroup& group);

    static DeliveryStatus status_of(ipc::DeliveryOutcome outcome, std::string dsn, std::string reason);

private:
    MessageCopy copy_of(const Delivery& delivery, const LocalRecipient& recipient,
                        std::string_view kind) const;
    Task<Result<>> write_patiently(const MailboxPath& path, const MailboxOwner& owner,
                                   const MessageCopy& message);
    Result<> write_once(const MailboxPath& path, const MailboxOwner& owner, const MessageCopy& message) const;
    std::vector<std::string> environment_of(const Delivery& delivery, const LocalRecipient& recipient,
                                            const Account* account) const;
    Result<std::string> working_directory(const LocalRecipient& recipient, const Account* account) const;
    std::string forward_envelope(const Delivery& delivery, std::size_t index,
                                 const ForwardGroup& group) const;

    LocalParams params_;
    AliasTables aliases_;
    TableList mailbox_transports_;
    TableList mailbox_commands_;
    TableList fallback_transports_;
    MboxLocks locks_;
    std::int64_t limit_ = 0;
    CommandIdentity default_rights_;
    uid_t mail_owner_ = 0;
    std::vector<std::string> environment_;
    std::optional<CommandStarter> starter_;
    std::optional<ipc::RewriteClient> rewriter_;
    std::optional<ipc::Service> cleanup_;
    std::map<std::string, ipc::Service> transports_;
    KeyLock mailbox_files_; // by path: our own deliveries need not wait for the clock
};

} // namespace bulkhead
