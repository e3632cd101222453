#include "ipc/shown_file.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/header.h"
#include "spool/content_reader.h"
#include "spool/envelope.h"
#include "spool/io.h"
#include "spool/recipient_log.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

namespace bulkhead::ipc
{

namespace
{

constexpr std::size_t message_id_window = 64 * 1024; // bytes of content looked at
constexpr std::size_t max_message_id = 1000;
constexpr std::size_t first_block = 8 * 1024; // bytes of a file: most are whole in it

} // namespace

std::string find_message_id(int fd, std::int64_t data_offset)
{
    ContentReader content(fd, data_offset);
    HeaderReader headers;
    const auto take = [&]() -> std::string {
        const auto field = headers.take();
        if (!field || !field->is("Message-ID"))
            return {};
        return printable(trim(unfold(field->body())), true).substr(0, max_message_id);
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

namespace
{

// Takes recipients until the limits are reached.
class ShownRecipients
{
public:
    ShownRecipients(std::vector<ShownRecipient>& into, const ShowOptions& options)
        : into_(into), options_(options)
    {
    }

    void add(const std::string& address, const std::string& reason)
    {
        bytes_ += address.size() + reason.size() + 32;
        if (into_.size() < options_.max_recipients && bytes_ <= options_.max_recipient_bytes)
            into_.push_back({address, reason});
    }

private:
    std::vector<ShownRecipient>& into_;
    const ShowOptions& options_;
    std::size_t bytes_ = 0;
};

void show_recipients(const RecipientLog& log, const Envelope& envelope, ShownRecipients shown)
{
    // Most mail has one recipient: what follows would take longer than reading it.
    if (log.entries.size() == 1 && envelope.recipients.size() == 1) {
        const RecipientLogEntry& entry = log.entries.front();
        const Recipient& recipient = envelope.recipients.front();
        const bool is_same = entry.recipient == external_form(recipient.address) &&
                             (!entry.offset || *entry.offset == recipient.offset);
        shown.add(recipient.address, is_same ? entry.reason : std::string());
        return;
    }
    std::unordered_multimap<std::string, const Recipient*> waiting;
    if (!log.entries.empty())
        for (const Recipient& recipient : envelope.recipients)
            waiting.emplace(external_form(recipient.address), &recipient);
    std::unordered_set<const Recipient*> added;
    for (const RecipientLogEntry& entry : log.entries) {
        const auto [first, last] = waiting.equal_range(entry.recipient);
        const auto found = std::find_if(first, last, [&](const auto& row) {
            return !entry.offset || *entry.offset == row.second->offset;
        });
        if (found == last)
            continue;
        shown.add(found->second->address, entry.reason);
        added.insert(found->second);
        waiting.erase(found);
    }
    for (const Recipient& recipient : envelope.recipients)
        if (!added.contains(&recipient))
            shown.add(recipient.address, {});
}

Result<Envelope> envelope_to_show(int fd, const EnvelopeOptions& options)
{
    std::array<char, first_block> block;
    TRY(const std::size_t size, read_at(fd, block.data(), block.size(), 0));
    return size < block.size() ? parse_envelope({block.data(), size}, options) : read_envelope(fd, options);
}

} // namespace

Result<ShownMessage> read_shown_message(const Spool& spool, Queue queue, const QueueId& id,
                                        const OpenQueueFile& file, const ShowOptions& options)
{
    const bool submission = queue == Queue::maildrop;
    TRY(const Envelope envelope, envelope_to_show(file.fd.get(), {.max_recipients = options.max_recipients,
                                                                  .submission = submission,
                                                                  .with_attributes = false,
                                                                  .block_size = first_block}));
    ShownMessage shown;
    shown.queue_name = queue_name(queue);
    shown.queue_id = id.text();
    shown.arrival_time = envelope.arrival.seconds > 0 ? envelope.arrival.seconds : file.info.modified;
    // mailq shows what the content takes on disk; log lines show content_length
    shown.size = submission ? file.info.size : envelope.sizes.content_bytes;
    shown.forced_expire = file.info.is_expire_forced();
    shown.sender = envelope.sender;
    if (options.message_id)
        shown.message_id = find_message_id(file.fd.get(), envelope.sizes.data_offset);
    const RecipientLog none;
    Result<RecipientLog> log = Error{Fault::not_found, "a submission has none"};
    if (!submission)
        log = read_recipient_log(spool, Queue::defer, id, {.wait_for_writer = false});
    show_recipients(log ? *log : none, envelope, ShownRecipients(shown.recipients, options));
    return shown;
}

} // namespace bulkhead::ipc
