// The worker and its intake; delivery.cc and completion.cc have the rest.
#include "qmgr.h"

#include "async/offload.h"
#include "async/wait.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/logged_address.h"
#include "os/jail.h"
#include "routing/open.h"
#include "spool/lock.h"
#include "spool/marks.h"
#include "spool/recipient_log.h"
#include "spool/scan.h"
#include "worker/spool_of.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t claims_at_once = 32;
constexpr std::size_t scan_slice = 200;
constexpr std::size_t recipients_looked_at = 5000; // for one destination
constexpr Milliseconds busy_retry{1000};
constexpr Milliseconds flush_patience{30'000}; // its lists are hints: nothing waits for them long
constexpr Seconds stranded_pause{60};
constexpr Seconds intake_patience{2}; // without one arrival taken, though some wait
constexpr Milliseconds drain_patience{3000};
constexpr Seconds quiet_time{5}; // without work: leave, the master knows when to start us again

} // namespace

Qmgr::Qmgr()
    : scheduler_([this](const std::string& transport) { return limits_of(transport); }),
      scan_timer_([this] { run_queue(); }), busy_timer_([this] { request_scans(true, false, false); }),
      event_timer_([this] {
          scheduler_.tick(scheduler_time());
          pump();
      }),
      refill_timer_([this] { refill_all(); }), leave_timer_([this] {
          leave_ = true;
          activity_changed();
      }),
      logged_timer_([this] { look_after_logged(); })
{
}

Result<> Qmgr::before_jail()
{
    const Milliseconds timeout = common().ipc_timeout();
    resolver_.emplace("private/" + params_.rewrite_service());
    if (has_common_parameters())
        resolver_->know_rules(RoutingRules::open(config()));
    bounce_.emplace("private/" + params_.bounce_service(), timeout);
    defer_.emplace("private/" + params_.defer_service(), timeout);
    trace_.emplace("private/" + params_.trace_service(), timeout);
    flush_.emplace("public/" + params_.flush_service(), std::min(timeout, flush_patience));
    if (is_second())
        first_.emplace("public/" + params_.queue_service(), std::min(timeout, flush_patience));
    ListOptions options;
    options.kind = ListKind::domains;
    options.parent_matches_subdomains =
        std::ranges::find(params_.parent_domains(), "fast_flush_domains") != params_.parent_domains().end();
    options.parameter = "fast_flush_domains";
    TRY(flush_sites_, MatchList::open(params_.flush_domains(), options));
    in_flight_limit_ = std::clamp<std::size_t>(raise_descriptor_limit() / 2, 8, 2000);
    scheduler_.set_capacity(in_flight_limit_);
    return {};
}

Result<> Qmgr::after_jail()
{
    TRY(Spool spool, open_own_spool(common()));
    spool_.emplace(std::move(spool));
    pool_.emplace(*spool_);
    scope_.spawn(start_up, this);
    return {};
}

Task<> Qmgr::start_up(Qmgr* self)
{
    if (self->is_second()) { // the others' mail is not its business
        self->recovered_ = true;
        self->take_arrivals();
        co_return;
    }
    const auto recover = [self] { return recover_active(*self->spool_); };
    const auto recovered = co_await offload(recover);
    if (!recovered)
        log::error(fmt::format("cannot recover the active queue: {}", recovered.error().context));
    co_await read_left_logs(self);
    self->recovered_ = true;
    self->stranded_ = !recovered;
    self->sweep_incoming();
    self->request_scans(true, true, false);
    self->scan_timer_.start(self->params_.queue_run_delay());
}

void Qmgr::wake()
{
    sweep_incoming();
    run_queue();
}

void Qmgr::run_queue()
{
    request_scans(true, true, false);
    scan_timer_.start(params_.queue_run_delay());
}

void Qmgr::sweep_incoming()
{
    if (is_second() || sweeping_ || !recovered_ || is_draining())
        return;
    sweeping_ = true;
    scope_.spawn(sweep, this);
}

Task<> Qmgr::sweep(Qmgr* self)
{
    const auto remove = [self] { return remove_nameless(*self->spool_, WallTime::now().seconds); };
    auto young = co_await offload(remove);
    while (young && *young > 0 && !self->is_draining()) {
        co_await sleep_for(busy_retry);
        young = co_await offload(remove);
    }
    if (!young)
        log::warn(young.error().context);
    self->sweeping_ = false;
    self->after_change();
}

bool Qmgr::is_idle() const
{
    if (is_draining())
        return leave_ || (in_flight_ == 0 && scope_.size() == 0);
    return scope_.size() == 0 && active_.empty() && arrivals_.empty();
}

void Qmgr::drain()
{
    // Deliveries that hang must not keep the next queue manager waiting: the agents
    // finish them and hold the file's lock while they do.
    leave_timer_.start(drain_patience);
    scan_timer_.cancel();
    busy_timer_.cancel();
    file_all();
    room_.notify_all();
}

std::int64_t Qmgr::wake_at() const
{
    const std::int64_t now = WallTime::now().seconds;
    if (!active_.empty() || !arrivals_.empty() || overflow_ || busy_timer_.running() || !recovered_)
        return now;
    if (stranded_) // the next start tries them again
        return now + stranded_pause.count();
    return next_due_ == 0 ? 0 : std::max(next_due_, now + 1);
}

Seconds Qmgr::idle_time() const
{
    return std::min(common().max_idle(), quiet_time);
}

// ---- what others tell us ------------------------------------------------------

Task<ipc::Message> Qmgr::answer(const ipc::Message& request)
{
    if (is_draining())
        co_return ipc::failure("the queue manager is leaving");
    if (request.kind() == ipc::Kind::queue_arrival) {
        const auto text = ipc::decode_queue_arrival(request);
        if (text && text->empty()) {
            request_scans(true, false, false);
            co_return ipc::encode(taken());
        }
        auto id = text ? QueueId::parse(*text) : Result<QueueId>(text.error());
        if (!id)
            co_return ipc::failure(id.error().context);
        overflow_ |= !keep_arrival(*id);
        take_arrivals();
        co_return ipc::encode(taken());
    }
    if (request.kind() == ipc::Kind::queue_logged) {
        auto logged = ipc::decode_queue_logged(request);
        if (!logged)
            co_return ipc::failure(logged.error().context);
        // Meant for the one before us, which may have begun with it.
        logged->again |= logged->instance != 0 && logged->instance != ::getpid();
        take_logged(std::move(*logged));
        co_return ipc::encode(taken());
    }
    if (request.kind() == ipc::Kind::queue_flush) {
        auto what = ipc::decode_queue_flush(request);
        if (!what)
            co_return ipc::failure(what.error().context);
        scope_.spawn(flush, this, std::move(*what));
        co_return ipc::Message(ipc::Kind::ok);
    }
    co_return ipc::failure("unknown request");
}

// W and I: scan incoming.  D: scan deferred.  A: whatever the time stamps say.
// F: forget which destinations are dead.
void Qmgr::notified(std::string_view letters)
{
    const auto has = [&](char letter) { return letters.find(letter) != std::string_view::npos; };
    if (has('F'))
        scheduler_.forget_failures();
    request_scans(has('W') || has('I'), has('D'), has('A'));
    scheduler_.tick(scheduler_time());
    pump();
}

Task<> Qmgr::flush(Qmgr* self, ipc::QueueFlush what)
{
    self->scheduler_.forget_failures();
    if (what.queue_id.empty() && what.destination.empty()) {
        self->request_scans(true, true, true);
        co_return;
    }
    if (!what.queue_id.empty()) {
        auto id = QueueId::parse(what.queue_id);
        if (!id || self->active_.contains(what.queue_id))
            co_return;
        const ClaimOptions options{
            .from = Queue::deferred, .ignore_time = true, .now = WallTime::now().seconds};
        co_await activate(self, std::move(*id), options);
        co_return;
    }
    // One destination: every deferred message with a recipient there.
    const auto find_matching = [self, &what]() -> Result<std::vector<QueueId>> {
        std::vector<QueueId> found;
        TRY(QueueScan scan, QueueScan::open(*self->spool_, Queue::deferred));
        for (;;) {
            TRY(auto entry, scan.next());
            if (!entry)
                return found;
            auto file = open_queue_file(*self->spool_, entry->path);
            if (!file)
                continue;
            const auto envelope = read_envelope(file->fd.get(), {.max_recipients = recipients_looked_at});
            const auto matches = [&](const Recipient& r) {
                return equals_ignoring_case(split_address(r.address).domain, what.destination);
            };
            if (envelope && std::ranges::any_of(envelope->recipients, matches))
                found.push_back(std::move(entry->id));
        }
    };
    const auto ids = co_await offload(find_matching);
    if (!ids)
        co_return;
    for (const QueueId& id : *ids) {
        co_await self->wait_for_room();
        const ClaimOptions options{
            .from = Queue::deferred, .ignore_time = true, .now = WallTime::now().seconds};
        self->scope_.spawn(activate, self, id, options);
    }
}

// ---- intake ---------------------------------------------------------------------

bool Qmgr::has_room() const
{
    return claiming_.size() < claims_at_once &&
           active_.size() + claiming_.size() < static_cast<std::size_t>(params_.active_limit());
}

Task<> Qmgr::wait_for_room()
{
    while (!has_room() && !is_draining())
        co_await room_.wait();
}

// False: too many wait already.
bool Qmgr::keep_arrival(const QueueId& id)
{
    if (arrivals_.size() >= static_cast<std::size_t>(params_.active_limit()))
        return false;
    if (arrivals_.empty())
        intake_moved_ = SteadyClock::now();
    arrivals_.push_back(id);
    return true;
}

// What comes in now has to wait: there is no room, or nothing was taken for a while.  A burst that
// is taken up as fast as we can is no such case.
bool Qmgr::is_behind() const
{
    if (arrivals_.empty())
        return false;
    const bool full = active_.size() + claiming_.size() >= static_cast<std::size_t>(params_.active_limit());
    return full || overflow_ || SteadyClock::now() > intake_moved_ + intake_patience;
}

ipc::QueueTaken Qmgr::taken() const
{
    return {.instance = ::getpid(), .is_behind = is_behind()};
}

void Qmgr::take_arrivals()
{
    while (recovered_ && !is_draining() && !arrivals_.empty() && has_room()) {
        QueueId id = std::move(arrivals_.front());
        arrivals_.pop_front();
        intake_moved_ = SteadyClock::now();
        const ClaimOptions options{.from = Queue::incoming, .fresh = true, .now = WallTime::now().seconds};
        scope_.spawn(activate, this, std::move(id), options);
    }
}

void Qmgr::request_scans(bool incoming, bool deferred, bool ignore_time)
{
    watch_clock();
    if (is_second()) {
        if (!std::exchange(asking_first_, true))
            scope_.spawn(ask_first, this);
        return;
    }
    incoming_wanted_ |= incoming;
    deferred_wanted_ |= deferred;
    ignore_time_ |= ignore_time;
    start_scans();
}

// What a second queue manager cannot take at once is for the one that reads the queues.
Task<> Qmgr::ask_first(Qmgr* self)
{
    const ipc::Message look = ipc::encode_queue_arrival({});
    const auto answer = co_await self->first_->call(look);
    if (!answer)
        log::warn(fmt::format("{}: {}", self->params_.queue_service(), answer.error().context));
    self->asking_first_ = false;
    self->after_change();
}

// A clock that was set back leaves messages behind whose time is still to come, though it was
// over already: all of them are due now.
void Qmgr::watch_clock()
{
    constexpr std::int64_t remarkable = 5; // seconds
    const auto steady = std::chrono::floor<Seconds>(SteadyClock::now().time_since_epoch()).count();
    const std::int64_t offset = WallTime::now().seconds - steady;
    const std::int64_t jump = clock_offset_ == 0 ? 0 : offset - clock_offset_;
    if (jump > -remarkable && jump < remarkable && clock_offset_ != 0)
        return;
    clock_offset_ = offset;
    if (jump == 0)
        return;
    log::warn(
        fmt::format("the clock was set {} by {} seconds", jump < 0 ? "back" : "forward", std::abs(jump)));
    incoming_wanted_ = deferred_wanted_ = true;
    ignore_time_ |= jump < 0;
}

void Qmgr::start_scans()
{
    if (!recovered_ || is_draining())
        return;
    const bool ignore_time = ignore_time_;
    if (incoming_wanted_ && !reading_left_logs_)
        scope_.spawn(read_left_logs, this);
    if (incoming_wanted_ && !scanning_incoming_) {
        incoming_wanted_ = overflow_ = false;
        scanning_incoming_ = true;
        scope_.spawn(scan, this, Queue::incoming, ignore_time);
    }
    if (deferred_wanted_ && !scanning_deferred_) {
        deferred_wanted_ = ignore_time_ = false;
        scanning_deferred_ = true;
        next_due_ = 0;
        scope_.spawn(scan, this, Queue::deferred, ignore_time);
    }
}

Task<> Qmgr::scan(Qmgr* self, Queue queue, bool ignore_time)
{
    std::size_t seen = 0;
    std::size_t early = 0;
    auto open_scan = QueueScan::open(*self->spool_, queue);
    bool rehashed = false;
    while (open_scan && !self->is_draining()) {
        QueueScan& files = *open_scan;
        const auto read_slice = [&files] { return files.slice(scan_slice); };
        auto slice = co_await offload(read_slice);
        if (!slice || slice->empty())
            break;
        seen += slice->size();
        const auto is_elsewhere = [self, queue](const QueueEntry& entry) {
            return is_misplaced(*self->spool_, queue, entry);
        };
        if (!rehashed && std::ranges::any_of(*slice, is_elsewhere)) {
            rehashed = true;
            co_await rehash(self);
        }
        for (QueueEntry& entry : *slice) {
            const std::int64_t now = WallTime::now().seconds;
            if (!ignore_time && entry.info.is_ready() && entry.info.modified > now + 1) {
                if (queue == Queue::deferred &&
                    (self->next_due_ == 0 || entry.info.modified < self->next_due_))
                    self->next_due_ = entry.info.modified;
                if (queue == Queue::incoming && !self->busy_timer_.running())
                    self->busy_timer_.start(busy_retry);
                ++early;
                continue;
            }
            co_await self->wait_for_room();
            if (self->is_draining())
                break;
            const ClaimOptions options{.from = queue, .ignore_time = ignore_time, .now = now};
            self->scope_.spawn(activate, self, std::move(entry.id), options);
        }
    }
    if (log::verbosity() > 0)
        log::trace(fmt::format("scan of {} is over: {} files, {} not due", queue_name(queue), seen, early));
    (queue == Queue::incoming ? self->scanning_incoming_ : self->scanning_deferred_) = false;
    self->start_scans();
    self->after_change();
}

Task<> Qmgr::rehash(Qmgr* self)
{
    const auto move_all = [self] { return rehash_spool(*self->spool_); };
    const auto moved = co_await offload(move_all);
    if (moved)
        log::info(fmt::format("hash_queue_names or hash_queue_depth has changed: {} file{} put in place",
                              *moved, *moved == 1 ? "" : "s"));
    else
        log::warn(moved.error().context);
}

static void log_activation(const QueueId& id, const Envelope& envelope)
{
    LogLine line(id.text());
    line.address("from", logged_form(envelope.sender))("size", envelope.message_size());
    line("nrcpt", static_cast<std::int64_t>(envelope.recipients.size() + envelope.recipients_unread))
        .note("queue active");
    log::info(line.text());
}

Task<> Qmgr::activate(Qmgr* self, QueueId id, ClaimOptions options)
{
    if (self->active_.contains(id.text()) || !self->claiming_.insert(id.text()).second)
        co_return;
    options.max_recipients = self->first_batch();
    const bool in_log = options.fresh && self->logged_.contains(id.text());
    Claim claim;
    if (in_log) {
        claim = self->claim_from_log(id);
    } else {
        const auto claim_it = [self, &id, &options] { return claim_queue_file(*self->spool_, id, options); };
        Lane* const lane = options.fresh ? &self->moves_ : nullptr; // a scan reads from the disk
        claim = co_await offload(claim_it, lane);
    }
    self->claiming_.erase(id.text());

    switch (claim.state) {
    case ClaimState::claimed: {
        auto owned = std::make_unique<ActiveMessage>();
        ActiveMessage& message = *owned;
        message.id = id;
        message.envelope = ActiveEnvelope(claim.envelope);
        if (claim.envelope.next)
            message.unread = std::make_unique<UnreadRecipients>(claim.envelope.sizes, claim.envelope.next,
                                                                claim.envelope.recipients_unread);
        message.active_since = WallTime::now();
        message.fresh = options.fresh;
        message.in_log = in_log;
        message.force_expire = claim.force_expire;
        if (claim.unthrottle)
            self->scheduler_.forget_failures();
        message.one_by_one = !claim.envelope.verp.empty() && !claim.envelope.sender.empty();
        if (self->params_.confirm_delay_cleared() && message.envelope.warn_time < 0)
            message.envelope.trace_flags |= trace_flag::delay_sent; // -1: see clear_warn_time()
        self->probes_ += message.is_probe();
        self->active_.insert(std::move(owned));
        log_activation(id, claim.envelope);
        message.refilling = true; // until these are on their way
        if (message.unread)
            self->partly_read_.insert(&message);
        co_await self->route(message, std::move(claim.envelope.recipients));
        message.refilling = false;
        if (message.unread)
            message.unread->last_read = SteadyClock::now();
        if (!self->partly_read_.empty() && !self->refill_timer_.running())
            self->refill_timer_.start(Seconds(1));
        self->go_on(message); // nothing may be left: all were settled before a crash, or a notice is owed
        break;
    }
    case ClaimState::corrupt:
        log::warn(fmt::format("{}: message rejected: {}", id.text(), claim.reason));
        log::warn(
            fmt::format("saving corrupt file \"{}\" from queue \"active\" to queue \"corrupt\"", id.text()));
        break;
    case ClaimState::failed:
        log::warn(fmt::format("{}: {}", id.text(), claim.reason));
        [[fallthrough]];
    case ClaimState::busy:
        if (!self->busy_timer_.running() && !self->is_draining())
            self->busy_timer_.start(busy_retry);
        break;
    case ClaimState::gone:
        if (!claim.reason.empty() && log::verbosity() > 0)
            log::trace(fmt::format("{}: {}", id.text(), claim.reason));
        break;
    case ClaimState::early:
        if (options.fresh && !self->busy_timer_.running() && !self->is_draining())
            self->busy_timer_.start(busy_retry);
        break;
    }
    self->after_change();
}

// What has ended may have made room, or have been the last thing to do.
void Qmgr::after_change()
{
    room_.notify_one();
    take_arrivals();
    if (overflow_ && has_room())
        request_scans(true, false, false);
    Loop::current().post([this] { activity_changed(); });
}

// Probes must not take the place of mail: those above the limit wait in deferred/.
bool Qmgr::is_one_probe_too_many(const ActiveMessage& message) const
{
    return message.is_probe() && probes_ > static_cast<std::size_t>(params_.probe_limit());
}

// Mail to the sender of the notices that the postmaster gets.
bool Qmgr::is_end_of_bounces(const ipc::Resolved& recipient) const
{
    return recipient.address_class == ipc::AddressClass::local &&
           equals_ignoring_case(split_address(recipient.recipient).local,
                                split_address(params_.double_bounce_sender()).local);
}

// The recipients that have just been read go to the scheduler.
Task<> Qmgr::route(ActiveMessage& message, std::vector<Recipient> recipients)
{
    if (is_one_probe_too_many(message)) {
        ++message.deferred;
        message.unread.reset();
        co_return;
    }
    // One message goes to the new address, however many recipients it had.
    if (const std::string& redirect = message.envelope.rare().redirect;
        !redirect.empty() && !recipients.empty()) {
        recipients.resize(1);
        recipients.front().address = redirect;
        message.unread.reset();
    }
    message.outstanding += recipients.size();
    recipients_in_memory_ += recipients.size();

    message.wants_trace |= (message.envelope.trace_flags & ~trace_flag::probe) != 0;
    std::vector<RoutedRecipient> routed;
    routed.reserve(recipients.size());
    for (Recipient& recipient : recipients) {
        message.wants_trace |= (recipient.notify & notify::success) != 0;
        ipc::DeliveryRecipient wanted{recipient.offset, std::move(recipient.address),
                                      std::move(recipient.original), std::move(recipient.dsn_original),
                                      recipient.notify};
        RoutedRecipient answer = co_await route_recipient(message, std::move(wanted));
        routed.push_back(std::move(answer));
    }
    scheduler_.add(message, std::move(routed), message.unread_count(), scheduler_time());
    pump();
}

Task<RoutedRecipient> Qmgr::route_recipient(const ActiveMessage& message, ipc::DeliveryRecipient recipient)
{
    RoutedRecipient routed;
    routed.recipient = std::move(recipient);
    const auto resolved =
        co_await resolver_->resolve(message.envelope.sender, routed.recipient.address, message.is_probe());
    if (!resolved) {
        log::warn(
            fmt::format("{}: address resolver failure: {}", message.id.text(), resolved.error().context));
        routed.transport = retry_transport;
        routed.nexthop = "4.3.0 address resolver failure";
        co_return std::move(routed);
    }
    routed.transport = resolved->transport;
    routed.nexthop = resolved->nexthop;
    routed.recipient.address = resolved->recipient;
    if (const std::string& filter = message.envelope.rare().content_filter; !filter.empty()) {
        const auto colon = filter.find(':');
        routed.transport = filter.substr(0, colon);
        routed.nexthop = colon == std::string::npos ? "" : filter.substr(colon + 1);
        if (routed.nexthop.empty())
            routed.nexthop = params_.filter_nexthop();
        if (routed.nexthop.empty())
            routed.nexthop = lower(split_address(resolved->recipient).domain);
    }
    if (is_end_of_bounces(*resolved)) {
        routed.transport = discard_transport;
        routed.nexthop = "undeliverable postmaster notification discarded";
    }
    name_queue(routed);
    const Moment now = scheduler_time();
    const std::string& queue = routed.queue.empty() ? routed.nexthop : routed.queue;
    const std::string dead = scheduler_.suspension(routed.transport, queue, now);
    if (!dead.empty())
        routed.nexthop = suspended_reason(dead);
    else if (scheduler_.is_suspended(routed.transport, now))
        routed.nexthop = "4.3.0 mail transport unavailable";
    else if (std::ranges::find(params_.defer_transports(), routed.transport) !=
             params_.defer_transports().end())
        routed.nexthop = "4.3.2 deferred transport";
    else
        co_return std::move(routed);
    routed.transport = retry_transport;
    routed.queue.clear();
    co_return std::move(routed);
}

// Where every recipient is delivered alone, each mailbox is a destination of its own
// (feature-map.md section f), extensions not counted.
void Qmgr::name_queue(RoutedRecipient& routed)
{
    if (routed.transport == retry_transport || routed.transport == error_transport ||
        scheduler_.limits(routed.transport).recipients != 1)
        return;
    const std::string_view local = split_address(routed.recipient.address).local;
    const std::string_view user = split_extension(local, params_.recipient_delimiter()).user;
    routed.queue = fmt::format("{}@{}", user, routed.nexthop);
}

} // namespace bulkhead
