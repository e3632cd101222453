#include "report.h"

#include "mail/address.h"
#include "spool/content_reader.h"
#include "spool/marks.h"
#include "spool/queue_file.h"
#include "spool/recipient_log.h"

#include <memory>
#include <unordered_map>
#include <unordered_set>

namespace bulkhead
{

namespace
{

// More than qmgr ever holds of one message.
constexpr std::size_t max_recipients = 100'000;

// A longer line of the original is shown in pieces.
constexpr std::size_t max_line = 64 * 1024;

std::string key_of(const RecipientLogEntry& entry)
{
    return entry.offset ? std::to_string(*entry.offset) : entry.recipient;
}

// A recipient is in the log once for each attempt; the last one counts.
void keep_latest(std::vector<RecipientLogEntry>& entries)
{
    std::unordered_map<std::string, std::size_t> places;
    std::vector<RecipientLogEntry> kept;
    kept.reserve(entries.size());
    for (RecipientLogEntry& entry : entries) {
        const auto [place, is_new] = places.try_emplace(key_of(entry), kept.size());
        if (is_new)
            kept.push_back(std::move(entry));
        else
            kept[place->second] = std::move(entry);
    }
    entries = std::move(kept);
}

RecipientLogEntry expired_entry(const Recipient& recipient)
{
    RecipientLogEntry entry;
    entry.recipient = external_form(recipient.address);
    if (!recipient.original.empty())
        entry.original_recipient = external_form(recipient.original);
    entry.offset = recipient.offset;
    entry.dsn_original = recipient.dsn_original;
    entry.notify = recipient.notify;
    entry.status = "4.4.7"; // RFC 3463: delivery time expired
    entry.action = "failed";
    entry.reason = "delivery time expired";
    return entry;
}

void add_unlogged(Report& report)
{
    std::unordered_set<std::string> known;
    for (const RecipientLogEntry& entry : report.entries) {
        known.insert(entry.recipient);
        if (entry.offset)
            known.insert(std::to_string(*entry.offset));
    }
    for (const Recipient& recipient : report.envelope->recipients) {
        const bool logged = known.contains(std::to_string(recipient.offset)) ||
                            known.contains(external_form(recipient.address));
        if (recipient.state == RecipientState::to_do && !logged)
            report.entries.push_back(expired_entry(recipient));
    }
}

// A queue manager that starts anew takes what was active through incoming/ again, while we still
// work for the one before.
Result<OpenQueueFile> open_wherever(const Spool& spool, Queue expected, const QueueId& id, Access access)
{
    auto file = open_queue_file(spool, expected, id, access);
    for (const Queue queue : {Queue::incoming, Queue::deferred, expected})
        if (!file && file.error().fault == Fault::not_found)
            file = open_queue_file(spool, queue, id, access);
    return file;
}

Result<> read_queue_file(const Spool& spool, const ipc::BounceFlush& request, Report& report)
{
    const bool expire = request.notice == ipc::Notice::expire;
    const auto queue = queue_from_name(request.queue_name);
    if (!queue)
        return Error{Fault::malformed, "unknown queue " + request.queue_name};
    TRY(OpenQueueFile file,
        open_wherever(spool, *queue, report.id, expire ? Access::read_write : Access::read));
    EnvelopeOptions options;
    options.max_recipients = expire ? max_recipients : 1;
    TRY(report.envelope, read_envelope(file.fd.get(), options));
    report.file = std::move(file.fd);
    return {};
}

} // namespace

std::vector<unsigned> Report::notify_masks() const
{
    std::vector<unsigned> masks;
    masks.reserve(entries.size());
    for (const RecipientLogEntry& entry : entries)
        masks.push_back(entry.notify);
    return masks;
}

Result<Report> read_report(const Spool& spool, Queue log, const ipc::BounceFlush& request)
{
    Report report;
    TRY(report.id, QueueId::parse(request.queue_id));
    auto entries = read_recipient_log(spool, log, report.id);
    if (entries)
        report.entries = std::move(entries->entries);
    else if (entries.error().fault != Fault::not_found)
        return entries.error();
    keep_latest(report.entries);
    const bool expire = request.notice == ipc::Notice::expire;
    if (report.entries.empty() && !expire)
        return report;
    const auto read = read_queue_file(spool, request, report);
    if (!read)
        report.trouble = read.error().context;
    else if (expire)
        add_unlogged(report);
    return report;
}

OriginalLines original_lines(const Report& report)
{
    if (!report.envelope)
        return {};
    const auto reader =
        std::make_shared<ContentReader>(report.file.get(), report.envelope->sizes.data_offset);
    return [reader](std::string& line) {
        line.clear();
        for (;;) {
            const auto record = reader->next();
            if (!record || !*record)
                return !line.empty();
            line += (*record)->data;
            if ((*record)->is(RecordType::text) || line.size() > max_line)
                return true;
        }
    };
}

void mark_all_done(const Report& report)
{
    for (const RecipientLogEntry& entry : report.entries)
        if (report.file && entry.offset)
            (void)mark_recipient_done(report.file.get(), *entry.offset);
}

} // namespace bulkhead
