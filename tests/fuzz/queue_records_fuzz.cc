// Any bytes as a queue file: no crash, no hang, and recipients read in slices are
// the recipients read at once.
#include "spool/content_reader.h"
#include "spool/envelope.h"
#include "spool/record.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static void require(bool promise)
{
    if (!promise)
        std::abort();
}

static void codec(std::string_view bytes)
{
    RecordReader reader(bytes);
    std::string again;
    for (auto record = reader.next(); record && *record; record = reader.next()) {
        again.clear();
        append_record(again, (*record)->type, (*record)->data);
        require(again.size() == encoded_size((*record)->data.size()));
        const auto peek = peek_record(again);
        require(peek && peek->encoded == again.size() && peek->record.data == (*record)->data);
    }
}

static void slices(std::string_view bytes, const Envelope& whole)
{
    EnvelopeOptions options;
    options.max_recipients = 2;
    const auto first = parse_envelope(bytes, options);
    require(bool(first));
    std::size_t seen = first->recipients.size();
    require(seen + first->recipients_unread == whole.recipients.size());
    for (RecipientCursor next = first->next; next;) {
        const auto batch = parse_recipients(bytes, first->sizes, next, 2);
        if (!batch)
            return; // the size record does not fit the file: only a scan finds the rest
        for (const Recipient& recipient : batch->recipients)
            require(seen < whole.recipients.size() && recipient.offset == whole.recipients[seen].offset &&
                    recipient.dsn_original == whole.recipients[seen].dsn_original),
                ++seen;
        next = batch->next;
    }
    require(seen == whole.recipients.size());
}

static void content(std::string_view bytes, const MessageSizes& sizes)
{
    ContentReader reader(bytes, sizes.data_offset);
    std::string text;
    for (auto more = reader.read_text(text, 1024); more && *more; more = reader.read_text(text, 1024))
        text.clear();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    codec(bytes);
    if (const auto envelope = parse_envelope(bytes)) {
        slices(bytes, *envelope);
        content(bytes, envelope->sizes);
    }
    EnvelopeOptions submission;
    submission.submission = submission.with_done = true;
    if (const auto envelope = parse_envelope(bytes, submission))
        content(bytes, envelope->sizes);
    RecordStream raw(bytes, Pointers::show);
    for (auto record = raw.next(); record && *record; record = raw.next())
        require((*record)->offset < static_cast<std::int64_t>(size));
    return 0;
}
