#include "pickup.h"

#include "async/offload.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/logged_address.h"
#include "spool/lock.h"
#include "spool/moves.h"
#include "worker/spool_of.h"

#include <fmt/format.h>

#include <sys/stat.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t files_per_slice = 100;
constexpr std::size_t messages_at_once = 16;
constexpr std::size_t block_size = 64 * 1024;

// When cleanup cannot take a message now.
constexpr Seconds retry_pause{10};

// A file that is not complete, and whose writer holds no lock, for so long.
constexpr std::int64_t abandoned_after = 3600;

bool is_abandoned(const QueueEntry& entry)
{
    return entry.is_unfinished() && entry.info.modified + abandoned_after < WallTime::now().seconds;
}

// A writer that lives holds the lock of its file.
void remove_abandoned(const Spool& spool, const QueueEntry& entry)
{
    const auto file = open_queue_file(spool, entry.path);
    if (!file)
        return;
    const auto locked = try_lock(file->fd.get(), FileLock::exclusive);
    if (locked && *locked && remove_queue_file(spool, entry.path))
        log::info(fmt::format("removed {}, whose writer has died", entry.path));
}

} // namespace

Pickup::Pickup() : permits_(messages_at_once), retry_([this] { look(); }) {}

Result<> Pickup::after_jail()
{
    TRY(spool_, open_own_spool(common()));
    cleanup_.emplace("public/" + params_.cleanup_service(), common().ipc_timeout());
    flags_ = ipc::cleanup_flag::filter | ipc::cleanup_flag::map_addresses | ipc::cleanup_flag::bounce_errors |
             ipc::cleanup_flag::local_milters;
    for (const std::string& option : params_.overrides()) {
        if (option == "no_address_mappings")
            flags_ &= ~ipc::cleanup_flag::map_addresses;
        else if (option == "no_header_body_checks")
            flags_ &= ~ipc::cleanup_flag::filter;
        else if (option == "no_milters")
            flags_ &= ~ipc::cleanup_flag::local_milters;
        else if (option != "no_unknown_recipient_checks")
            return Error{Fault::config,
                         fmt::format("{}: unknown option \"{}\"", params_.overrides.name(), option)};
    }
    look();
    return {};
}

Task<ipc::Message> Pickup::answer(const ipc::Message&)
{
    co_return ipc::failure("pickup answers no requests");
}

void Pickup::notified(std::string_view letters)
{
    if (letters.find('W') != letters.npos)
        look();
}

void Pickup::look()
{
    if (is_draining())
        return;
    again_ = true;
    if (scanning_)
        return;
    scanning_ = true;
    scope_.spawn(scan, this);
}

void Pickup::look_again_soon()
{
    retry_at_ = WallTime::now().seconds + retry_pause.count();
    if (!retry_.running() && !is_draining())
        retry_.start(retry_pause);
}

Task<> Pickup::scan(Pickup* self)
{
    struct Over {
        Pickup& pickup;
        ~Over()
        {
            pickup.scanning_ = false;
            pickup.activity_changed();
        }
    };
    const Over over{*self};
    while (self->again_ && !self->is_draining()) {
        self->again_ = false;
        self->retry_at_ = 0;
        co_await self->scan_once();
    }
}

Task<> Pickup::scan_once()
{
    ScanOptions options;
    options.foreign_names = true;
    const auto open = [&] { return QueueScan::open(*spool_, Queue::maildrop, options); };
    auto scan = co_await offload(open);
    if (!scan) {
        log::warn(scan.error().context);
        look_again_soon();
        co_return;
    }
    for (;;) {
        const auto slice = [&] { return scan->slice(files_per_slice); };
        auto entries = co_await offload(slice);
        if (!entries) {
            log::warn(entries.error().context);
            look_again_soon();
            co_return;
        }
        if (entries->empty() || is_draining())
            co_return;
        for (QueueEntry& entry : *entries) {
            if (is_abandoned(entry)) {
                const auto clear = [&] { remove_abandoned(*spool_, entry); };
                co_await offload(clear);
            }
            if (!entry.info.is_ready() || entry.id.empty() || busy_.contains(entry.path))
                continue;
            auto permit = co_await permits_.acquire();
            if (is_draining())
                co_return;
            busy_.insert(entry.path);
            if (log::verbosity() > 0)
                log::trace(fmt::format("taking {}", entry.path));
            scope_.spawn(take, this, std::move(entry), std::move(permit));
        }
    }
}

Task<> Pickup::take(Pickup* self, QueueEntry entry, Semaphore::Permit permit)
{
    struct Over {
        Pickup& pickup;
        const std::string& path;
        ~Over()
        {
            pickup.busy_.erase(path);
            pickup.activity_changed();
        }
    };
    const Over over{*self, entry.path};
    const Semaphore::Permit held = std::move(permit);
    const Fate fate = co_await self->submit(entry);
    co_await self->settle(entry, fate);
}

unsigned Pickup::flags_for(const Submission& submission) const
{
    unsigned flags = flags_;
    if (submission.is_local())
        flags |= ipc::cleanup_flag::rewrite_local;
    if (params_.smtputf8_enable() && submission.has_utf8_addresses())
        flags |= ipc::cleanup_flag::smtputf8;
    return flags;
}

Task<Pickup::Fate> Pickup::submit(const QueueEntry& entry)
{
    const auto open = [&] { return open_queue_file(*spool_, entry.path); };
    const auto file = co_await offload(open);
    if (!file && file.error().fault == Fault::not_found)
        co_return Fate::keep; // somebody was faster
    if (!file) {
        log::warn(file.error().context);
        look_again_soon();
        co_return Fate::keep;
    }
    if (!file->info.is_ready())
        co_return Fate::keep;

    SubmissionFacts facts;
    facts.owner = file->info.owner;
    facts.queued_before = (file->info.mode & S_IROTH) == 0 && file->info.owner == ::geteuid();
    facts.modified = file->info.modified;
    facts.content_filter = params_.content_filter();
    facts.myhostname = common().myhostname();
    facts.mail_name = common().mail_name();
    const bool queued_before = facts.queued_before;
    Submission submission(file->fd.get(), std::move(facts));
    std::string envelope;
    const auto read = [&] { return submission.read_envelope(envelope); };
    const auto whole = co_await offload(read);
    if (!whole) {
        log::warn(fmt::format("{}: {}", entry.id.text(), whole.error().context));
        co_return whole.error().fault == Fault::io ? Fate::keep : Fate::corrupt;
    }

    auto cleanup = co_await ipc::CleanupStream::open(*cleanup_, flags_for(submission));
    if (!cleanup) {
        log::warn(cleanup.error().context);
        look_again_soon();
        co_return Fate::keep;
    }
    log::info(fmt::format("{}: uid={} from=<{}>{}{}", cleanup->queue_id(), file->info.owner,
                          printable(logged_form(submission.sender()), true), queued_before ? " orig_id=" : "",
                          queued_before ? entry.id.text() : std::string()));
    cleanup->records() += envelope;
    submission.begin_content(cleanup->records(), cleanup->queue_id());
    const auto result = co_await copy(submission, *cleanup);
    if (!result && result.error().fault == Fault::malformed) {
        log::warn(fmt::format("{}: {}", entry.id.text(), result.error().context));
        co_return Fate::corrupt;
    }
    if (!result || (result->status & (ipc::cleanup_status::temporary | ipc::cleanup_status::write_error))) {
        log::warn(fmt::format("{}: maildrop file kept: {}", entry.id.text(),
                              result ? "cleanup cannot take it now" : result.error().context));
        look_again_soon();
        co_return Fate::keep;
    }
    co_return result->ok() ? Fate::remove : Fate::corrupt;
}

Task<Result<ipc::CleanupResult>> Pickup::copy(Submission& submission, ipc::CleanupStream& cleanup)
{
    const auto read = [&] { return submission.read_content(cleanup.records(), block_size); };
    for (;;) {
        CO_TRY(const bool more, co_await offload(read));
        if (!more)
            break;
        CO_TRY_VOID(co_await cleanup.send_some());
    }
    auto result = co_await cleanup.finish();
    // A sibling that does not speak our protocol is no fault of this file.
    if (!result)
        co_return Error(Fault::broken, result.error().context);
    co_return result;
}

Task<> Pickup::settle(const QueueEntry& entry, Fate fate)
{
    if (log::verbosity() > 0)
        log::trace(fmt::format("{}: {}", entry.path,
                               fate == Fate::keep     ? "stays"
                               : fate == Fate::remove ? "handed over, removed"
                                                      : "damaged"));
    if (fate == Fate::keep)
        co_return;
    const auto act = [&] {
        return fate == Fate::remove ? remove_queue_file(*spool_, entry.path)
                                    : move_queue_file(*spool_, entry.path, Queue::corrupt, entry.id);
    };
    if (fate == Fate::corrupt)
        log::warn(fmt::format("saving corrupt file \"{}\" from queue \"maildrop\" to queue \"corrupt\"",
                              entry.id.text()));
    const auto done = co_await offload(act);
    if (!done && done.error().fault != Fault::not_found) {
        log::warn(done.error().context);
        look_again_soon();
    }
}

} // namespace bulkhead
