#include "local.h"

#include "walk.h"

#include "async/offload.h"
#include "base/text.h"
#include "delivery/service_user.h"
#include "log/log.h"
#include "mail/address.h"
#include "os/jail.h"
#include "spool/envelope.h"
#include "spool/marks.h"
#include "table/address_lookup.h"
#include "table/ask.h"

#include <limits>

#include <fmt/format.h>

namespace bulkhead
{

using ipc::DeliveryOutcome;

DeliveryStatus Local::status_of(DeliveryOutcome outcome, std::string dsn, std::string reason)
{
    DeliveryStatus status(outcome, std::move(dsn), std::move(reason));
    status.relay = "local";
    if (outcome == DeliveryOutcome::sent)
        status.action = "delivered";
    return status;
}

JailPolicy Local::jail_policy() const
{
    JailPolicy policy;
    policy.keep = {Capability::become_user};
    return policy;
}

Result<> Local::before_jail()
{
    TRY(const UserIds owner, find_user(common().mail_owner()));
    TRY(default_rights_, service_user(params_.default_privs(), common().mail_owner()));
    mail_owner_ = owner.uid;
    CommandStarter::Rules rules;
    rules.refused_users = {owner.uid};
    rules.program = "local";
    TRY(CommandStarter starter, CommandStarter::create(std::move(rules)));
    starter_.emplace(std::move(starter));
    set_pool_size(Pool::commands, static_cast<std::size_t>(params_.process_limit()));

    TRY_VOID(DeliveryAgent::before_jail());
    auto locks = MboxLocks::parse(params_.mailbox_lock());
    if (!locks)
        return Error{Fault::config,
                     fmt::format("{}: mailbox_delivery_lock: {}", config().place("mailbox_delivery_lock"),
                                 locks.error().context)};
    locks_ = *locks;
    limit_ = params_.mailbox_limit() > 0 ? params_.mailbox_limit() : std::numeric_limits<std::int64_t>::max();
    environment_ = exported_environment(params_.export_environment());
    aliases_ = AliasTables::open(params_.alias_maps());
    mailbox_transports_ = TableList::open(params_.mailbox_transport_maps());
    mailbox_commands_ = TableList::open(params_.mailbox_command_maps());
    fallback_transports_ = TableList::open(params_.fallback_transport_maps());
    rewriter_.emplace("private/" + params_.rewrite_service());
    cleanup_.emplace("public/" + params_.cleanup_service(), common().ipc_timeout());
    return {};
}

Task<> Local::deliver(Delivery& delivery)
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
        Walk walk(*this, delivery, i, *stops);
        co_await walk.run();
    }
}

Task<Lookup> Local::find(PerRecipient which, const LocalRecipient& recipient)
{
    TableList& tables = which == PerRecipient::mailbox_transport ? mailbox_transports_
                        : which == PerRecipient::mailbox_command ? mailbox_commands_
                                                                 : fallback_transports_;
    if (tables.empty())
        co_return Lookup::absent();
    const auto look_up = [&] {
        const Lookup by_user = tables.find(recipient.user);
        if (!by_user.is_absent())
            return by_user;
        AddressKeyOptions options;
        options.recipient_delimiter = params_.recipient_delimiter();
        options.is_local = [](std::string_view) { return true; };
        return find_first(tables, mailbox_keys(recipient.address, options));
    };
    co_return co_await ask(tables.may_block(), look_up);
}

bool Local::must_hand_over()
{
    for (const TableList* list : std::initializer_list<const TableList*>{
             &aliases_.tables(), &mailbox_transports_, &mailbox_commands_, &fallback_transports_})
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
