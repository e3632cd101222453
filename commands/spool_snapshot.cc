#include "spool_snapshot.h"

#include "base/text.h"
#include "config/config.h"
#include "mail/address.h"
#include "spool/content_reader.h"
#include "spool/queue_file.h"
#include "spool/recipient_log.h"
#include "spool/scan.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::size_t header_limit = 256 * 1024; // bytes searched for Message-ID

// The value of the Message-ID header; "" when there is none.
static std::string find_message_id(int fd, std::int64_t data_offset)
{
    ContentReader reader(fd, data_offset);
    std::string header;
    if (!reader.read_text(header, header_limit))
        return {};
    bool wanted = false;
    for (std::size_t at = 0; at < header.size();) {
        const std::size_t end = std::min(header.find('\n', at), header.size());
        const std::string_view line = std::string_view(header).substr(at, end - at);
        at = end + 1;
        if (line.empty())
            return {};
        if (starts_with_ignoring_case(line, "message-id:"))
            wanted = true;
        else if (wanted && !is_blank(line.front()))
            return {};
        const std::string_view value = trim(
            wanted && !is_blank(line.front()) ? line.substr(std::string_view("message-id:").size()) : line);
        if (wanted && !value.empty())
            return printable(value, true);
    }
    return {};
}

// The ones with a reason first, in the order of the log, as mailq always had it.
static void add_recipients(const Spool& spool, const QueueId& id, const Envelope& envelope,
                           ipc::ShownMessage& shown)
{
    std::unordered_multimap<std::string, const Recipient*> waiting;
    const auto log = read_recipient_log(spool, Queue::defer, id);
    if (log)
        for (const Recipient& recipient : envelope.recipients)
            waiting.emplace(external_form(recipient.address), &recipient);
    std::unordered_set<const Recipient*> added;
    for (const RecipientLogEntry& entry : log ? log->entries : std::vector<RecipientLogEntry>{}) {
        const auto [first, last] = waiting.equal_range(entry.recipient);
        const auto found = std::find_if(first, last, [&](const auto& row) {
            return !entry.offset || *entry.offset == row.second->offset;
        });
        if (found == last)
            continue;
        shown.recipients.push_back({found->second->address, entry.reason});
        added.insert(found->second);
        waiting.erase(found);
    }
    for (const Recipient& recipient : envelope.recipients)
        if (!added.contains(&recipient))
            shown.recipients.push_back({recipient.address, {}});
}

static SnapshotMessage read_message(const Spool& spool, Queue queue, const QueueId& id,
                                    const OpenQueueFile& file, bool with_message_id)
{
    SnapshotMessage message;
    message.shown.queue_name = queue_name(queue);
    message.shown.queue_id = id.text();
    message.shown.size = file.info.size;
    message.shown.arrival_time = file.info.modified;
    message.shown.forced_expire = file.info.is_expire_forced();
    message.modified = file.info.modified;

    const EnvelopeOptions options{.submission = queue == Queue::maildrop};
    const auto envelope = read_envelope(file.fd.get(), options);
    if (!envelope) {
        message.problem = envelope.error().context;
        return message;
    }
    if (queue != Queue::maildrop)
        message.shown.size = envelope->sizes.content_bytes; // as showq has it; logs show content_length
    message.shown.arrival_time = envelope->arrival.seconds;
    message.shown.sender = envelope->sender;
    add_recipients(spool, id, *envelope, message.shown);
    if (with_message_id)
        message.shown.message_id = find_message_id(file.fd.get(), envelope->sizes.data_offset);
    return message;
}

Result<Spool> open_configured_spool(const Config& config)
{
    SpoolLayout layout;
    layout.root = config.queue_directory();
    TRY(layout.hash_queues, QueueSet::parse_hash_names(config.get("hash_queue_names")));
    TRY(const std::int64_t depth, config.get_int("hash_queue_depth"));
    if (depth < 1 || depth > max_hash_depth)
        return Error{Fault::config,
                     fmt::format("{}: bad hash_queue_depth: {}", config.place("hash_queue_depth"), depth)};
    layout.hash_depth = static_cast<unsigned>(depth);
    return Spool::open(std::move(layout));
}

Result<> read_queue(const Spool& spool, Queue queue, bool with_message_id,
                    const std::function<void(SnapshotMessage)>& see)
{
    auto scan = QueueScan::open(spool, queue);
    if (!scan)
        return scan.error();
    for (;;) {
        TRY(const auto entry, scan->next());
        if (!entry)
            return {};
        if (entry->is_unfinished())
            continue;
        const auto file = open_queue_file(spool, entry->path);
        if (file)
            see(read_message(spool, queue, entry->id, *file, with_message_id));
    }
}

std::optional<SnapshotMessage> read_located_message(const Spool& spool, Queue queue, const QueueId& id,
                                                    const std::string& path)
{
    const auto file = open_queue_file(spool, path);
    if (!file || (!file->info.is_ready() && !file->info.is_marked_corrupt()))
        return std::nullopt;
    return read_message(spool, queue, id, *file, false);
}

Result<std::size_t> count_queue(const Spool& spool, Queue queue)
{
    TRY(QueueScan scan, QueueScan::open(spool, queue));
    std::size_t count = 0;
    for (;;) {
        TRY(const auto entry, scan.next());
        if (!entry)
            return count;
        if (!entry->is_unfinished())
            ++count;
    }
}

} // namespace bulkhead
