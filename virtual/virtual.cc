#include "virtual.h"

#include "delivery/act_as.h"
#include "delivery/maildir.h"

#include "async/offload.h"
#include "async/wait.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/address.h"
#include "spool/envelope.h"
#include "spool/marks.h"
#include "table/address_lookup.h"
#include "table/ask.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

using ipc::DeliveryOutcome;

DeliveryStatus status_of(DeliveryOutcome outcome, std::string dsn, std::string reason)
{
    DeliveryStatus status(outcome, std::move(dsn), std::move(reason));
    status.relay = "virtual";
    if (outcome == DeliveryOutcome::sent)
        status.action = "delivered";
    return status;
}

DeliveryStatus status_of_failure(const Error& error, const MailboxPath& path, const std::string& recipient)
{
    const std::string text = path.is_maildir() ? fmt::format("maildir delivery failed: {}", error.context)
                                               : fmt::format("cannot update mailbox {} for user {}. {}",
                                                             path.shown, recipient, error.context);
    if (error.number == EFBIG)
        return status_of(DeliveryOutcome::bounced, "5.2.2", text);
    const char* const dsn = error.number == EDQUOT            ? "4.2.2"
                            : error.number == ENOSPC          ? "4.3.1"
                            : error.fault == Fault::malformed ? "4.3.0"
                                                              : "4.2.0";
    return status_of(DeliveryOutcome::deferred, dsn, text);
}

bool is_probe(const ipc::DeliveryRequest& request)
{
    return request.trace_flags & (trace_flag::probe | trace_flag::verify_only);
}

} // namespace

JailPolicy Virtual::jail_policy() const
{
    JailPolicy policy;
    policy.keep = {Capability::become_user};
    if (const auto minimum = static_cast<std::uint32_t>(params_.minimum_uid()); minimum > 0)
        policy.refused.users = {{0, minimum - 1}};
    return policy;
}

Result<> Virtual::before_jail()
{
    TRY_VOID(DeliveryAgent::before_jail());
    auto locks = MboxLocks::parse(params_.mailbox_lock());
    if (!locks)
        return Error{Fault::config,
                     fmt::format("{}: virtual_mailbox_lock: {}", config().place("virtual_mailbox_lock"),
                                 locks.error().context)};
    locks_ = *locks;
    limit_ = params_.mailbox_limit() > 0 ? params_.mailbox_limit() : std::numeric_limits<std::int64_t>::max();
    mailboxes_ = TableList::open(params_.mailbox_maps());
    uids_ = TableList::open(params_.uid_maps());
    gids_ = TableList::open(params_.gid_maps());
    return {};
}

// The log line says what failed, the status only that it is the administrator's turn.
Virtual::NoTarget Virtual::misconfigured(const std::string& recipient, std::string_view why)
{
    return NoTarget(status_of(DeliveryOutcome::deferred, "4.3.5", "mail system configuration error"),
                    fmt::format("recipient {}: {}", recipient, why));
}

Lookup Virtual::find(TableList& table, const std::string& recipient) const
{
    AddressKeyOptions options;
    options.recipient_delimiter = params_.recipient_delimiter();
    return find_first(table, mailbox_keys(recipient, options));
}

std::expected<unsigned, Virtual::NoTarget> Virtual::find_id(TableList& table, const std::string& name,
                                                            const std::string& recipient, unsigned minimum)
{
    const Lookup answer = find(table, recipient);
    if (answer.is_broken())
        return std::unexpected(
            NoTarget(status_of(DeliveryOutcome::deferred, "4.3.0", "temporary failure"),
                     fmt::format("recipient {}: {}: {}", recipient, name, answer.reason())));
    if (answer.is_absent())
        return std::unexpected(misconfigured(recipient, "not found in " + name));
    const auto id = parse_unsigned(answer.value());
    // The two largest numbers mean "none" to the kernel.
    if (!id || *id < minimum || *id >= std::numeric_limits<std::int32_t>::max())
        return std::unexpected(
            misconfigured(recipient, fmt::format("bad id {} in {}", printable(answer.value()), name)));
    return static_cast<unsigned>(*id);
}

std::expected<Virtual::Target, Virtual::NoTarget> Virtual::find_target(const std::string& recipient)
{
    const Lookup answer = find(mailboxes_, recipient);
    if (answer.is_broken())
        return std::unexpected(
            NoTarget(status_of(DeliveryOutcome::deferred, "4.3.0", "temporary failure"),
                     fmt::format("recipient {}: virtual_mailbox_maps: {}", recipient, answer.reason())));
    if (answer.is_absent())
        return std::unexpected(
            NoTarget(status_of(DeliveryOutcome::bounced, "5.1.1",
                               fmt::format("unknown user: \"{}\"", external_form(recipient))),
                     {}));
    auto path = MailboxPath::parse(params_.base(), answer.value());
    if (!path)
        return std::unexpected(misconfigured(recipient, path.error().context));
    const auto uid =
        find_id(uids_, "virtual_uid_maps", recipient, static_cast<unsigned>(params_.minimum_uid()));
    if (!uid)
        return std::unexpected(uid.error());
    const auto gid = find_id(gids_, "virtual_gid_maps", recipient, 1);
    if (!gid)
        return std::unexpected(gid.error());
    return Target{std::move(*path), MailboxOwner{*uid, *gid}};
}

Task<> Virtual::deliver(Delivery& delivery)
{
    const auto look_back = [&] { return delivered_to(delivery.fd(), delivery.request().data_offset); };
    const auto stops = co_await offload(look_back);
    if (!stops) {
        if (stops.error().fault == Fault::malformed)
            delivery.mark_as_corrupt();
        DeliveryStatus damaged =
            status_of(DeliveryOutcome::deferred, "4.3.0", "queue file read error: " + stops.error().context);
        co_await delivery.settle_rest(std::move(damaged));
        co_return;
    }
    for (std::size_t i = 0; i < delivery.request().recipients.size(); ++i) {
        if (delivery.is_settled(i))
            continue;
        DeliveryStatus status = co_await deliver_one(delivery, i, *stops);
        co_await delivery.settle(i, std::move(status));
    }
}

Task<DeliveryStatus> Virtual::deliver_one(const Delivery& delivery, std::size_t index,
                                          const std::vector<std::string>& stops)
{
    const ipc::DeliveryRequest& request = delivery.request();
    const ipc::DeliveryRecipient& recipient = request.recipients[index];
    const std::string shown = external_form(recipient.address);
    if (std::ranges::find(stops, lower(shown)) != stops.end())
        co_return status_of(DeliveryOutcome::bounced, "5.4.6", "mail forwarding loop for " + shown);
    const bool may_block = mailboxes_.may_block() || uids_.may_block() || gids_.may_block();
    const auto look_up = [&] { return find_target(recipient.address); };
    const auto target = co_await ask(may_block, look_up);
    if (!target) {
        if (!target.error().warning.empty())
            log::warn(target.error().warning);
        co_return target.error().status;
    }
    const std::string_view kind = target->path.is_maildir() ? "maildir" : "mailbox";
    if (is_probe(request))
        co_return status_of(DeliveryOutcome::sent, "2.0.0", fmt::format("delivers to {}", kind));

    MessageCopy message;
    message.queue_file = delivery.fd();
    message.data_offset = request.data_offset;
    message.sender = external_form(request.sender);
    message.headers = delivery_headers(message.sender, shown, external_form(recipient.original));
    if (log::verbosity() > 0)
        log::trace(fmt::format("{}: {} into {} as {}:{}", request.queue_id, shown, target->path.shown,
                               target->owner.uid, target->owner.gid));
    const auto written = co_await write_mailbox(*target, message);
    if (written)
        co_return status_of(DeliveryOutcome::sent, "2.0.0", fmt::format("delivered to {}", kind));
    if (written.error().fault == Fault::malformed)
        delivery.mark_as_corrupt();
    co_return status_of_failure(written.error(), target->path, shown);
}

Task<Result<>> Virtual::write_mailbox(const Target& target, const MessageCopy& message)
{
    if (!target.path.is_maildir()) {
        const auto turn = co_await mailbox_files_.acquire(target.path.shown);
        co_return co_await write_patiently(target, message);
    }
    co_return co_await write_patiently(target, message);
}

// Waiting for somebody else's lock is the coroutine's business: no thread sleeps.
Task<Result<>> Virtual::write_patiently(const Target& target, const MessageCopy& message)
{
    const auto write = [&] { return write_once(target, message); };
    for (int attempt = 1;; ++attempt) {
        auto written = co_await offload(write);
        if (written || written.error().fault != Fault::timeout || attempt >= params_.lock_attempts())
            co_return written;
        co_await sleep_for(params_.lock_delay());
    }
}

Result<> Virtual::write_once(const Target& target, const MessageCopy& message) const
{
    TRY(const ActAs identity, ActAs::become(target.owner));
    if (!target.path.is_maildir()) {
        MboxOptions options;
        options.locks = locks_;
        options.stale_lock = params_.stale_lock();
        options.limit = limit_;
        options.strict_ownership = params_.strict_ownership();
        return deliver_to_mbox(target.path, target.owner, message, options);
    }
    MaildirOptions options;
    options.host = common().myhostname();
    options.room = limit_;
    options.strict_ownership = params_.strict_ownership();
    TRY_VOID(deliver_to_maildir(target.path, target.owner, message, options));
    return {};
}

bool Virtual::must_hand_over()
{
    for (const TableList* list : {&mailboxes_, &uids_, &gids_})
        for (const auto& table : list->tables())
            if (table->is_stale()) {
                log::info(fmt::format("table {} has changed -- restarting", table->spec()));
                return true;
            }
    if (is_status_filter_stale())
        log::info("the delivery status filter has changed -- restarting");
    return is_status_filter_stale();
}

} // namespace bulkhead
