#include "shown_file.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/header.h"
#include "spool/content_reader.h"
#include "spool/envelope.h"
#include "spool/queue_file.h"
#include "spool/recipient_log.h"

#include <unordered_map>

namespace bulkhead
{

namespace
{

constexpr std::size_t message_id_window = 8 * 1024; // bytes of content looked at
constexpr std::size_t max_message_id = 1000;

// What one frame may hold: a message with more is shown with as many as fit.
constexpr std::size_t max_shown_bytes = 900 * 1000;
constexpr std::size_t max_recipients = 50'000;

std::string find_message_id(int fd, std::int64_t data_offset)
{
    ContentReader content(fd, data_offset);
    HeaderReader headers;
    const auto take = [&]() -> std::string {
        const auto field = headers.take();
        if (!field || !field->is("Message-ID"))
            return {};
        return std::string(trim(unfold(field->body()))).substr(0, max_message_id);
    };
    for (std::size_t bytes = 0; bytes < message_id_window;) {
        const auto record = content.next();
        if (!record || !*record)
            break;
        bytes += (*record)->data.size() + 1;
        const auto line = headers.add((*record)->data, (*record)->is(RecordType::text));
        if (std::string id = take(); !id.empty())
            return id;
        if (line != HeaderReader::Line::header)
            return {};
    }
    headers.finish();
    return take();
}

// Why recipients are still here, by offset of their record and by address.
class Reasons
{
public:
    Reasons(const Spool& spool, Queue queue, const QueueId& id)
    {
        if (queue != Queue::active && queue != Queue::deferred && queue != Queue::hold)
            return;
        auto log = read_recipient_log(spool, Queue::defer, id);
        if (!log)
            return;
        for (RecipientLogEntry& entry : log->entries) {
            if (entry.offset)
                by_offset_[*entry.offset] = entry.reason;
            by_address_[std::move(entry.recipient)] = std::move(entry.reason);
        }
    }

    std::string of(const Recipient& recipient) const
    {
        if (const auto found = by_offset_.find(recipient.offset); found != by_offset_.end())
            return found->second;
        if (by_address_.empty())
            return {};
        const auto found = by_address_.find(external_form(recipient.address));
        return found != by_address_.end() ? found->second : std::string();
    }

private:
    std::unordered_map<std::int64_t, std::string> by_offset_;
    std::unordered_map<std::string, std::string> by_address_;
};

} // namespace

std::optional<ipc::ShownMessage> show_file(const Spool& spool, Queue queue, const QueueEntry& entry,
                                           const ShowOptions& options)
{
    if (!entry.info.is_ready())
        return std::nullopt;
    const auto file = open_queue_file(spool, entry.path);
    if (!file)
        return std::nullopt;
    EnvelopeOptions envelope_options;
    envelope_options.max_recipients = max_recipients;
    envelope_options.submission = queue == Queue::maildrop;
    const auto envelope = read_envelope(file->fd.get(), envelope_options);
    if (!envelope)
        return std::nullopt;

    ipc::ShownMessage shown;
    shown.queue_name = queue_name(queue);
    shown.queue_id = entry.id.text();
    shown.arrival_time = envelope->arrival.seconds > 0 ? envelope->arrival.seconds : entry.info.modified;
    shown.size = queue == Queue::maildrop ? file->info.size : envelope->message_size();
    shown.forced_expire = file->info.is_expire_forced();
    shown.sender = envelope->sender;
    if (options.message_id)
        shown.message_id = find_message_id(file->fd.get(), envelope->sizes.data_offset);
    const Reasons reasons(spool, queue, entry.id);
    std::size_t bytes = 0;
    for (const Recipient& recipient : envelope->recipients) {
        std::string reason = reasons.of(recipient);
        bytes += recipient.address.size() + reason.size() + 32;
        if (bytes > max_shown_bytes)
            break;
        shown.recipients.push_back({recipient.address, std::move(reason)});
    }
    return shown;
}

} // namespace bulkhead
