// The message as a session needs it: an envelope, and the text in the form in
// which it goes over the wire, block by block.
#pragma once

#include "async/task.h"
#include "base/result.h"
#include "ipc/delivery.h"
#include "smtp/data_writer.h"
#include "spool/content_reader.h"
#include "spool/envelope.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class DownConverter;
class OutputFilter;

// One transaction's envelope.  Refers to the request, which outlives it.
struct OutgoingEnvelope {
    explicit OutgoingEnvelope(const ipc::DeliveryRequest& r) : request(&r) {}

    const ipc::DeliveryRequest* request;
    std::span<const NamedAttribute> attributes; // of the queue file, for XFORWARD
    std::vector<std::size_t> recipients;        // indexes into request->recipients

    // What smtp_generic_maps make of the addresses; empty: they go as they are.
    std::optional<std::string> generic_sender;
    std::vector<std::string> generic_recipients; // one per recipient of the request
    const std::string& sender() const { return generic_sender ? *generic_sender : request->sender; }
    const std::string& recipient(std::size_t index) const
    {
        return generic_recipients.empty() ? request->recipients[index].address : generic_recipients[index];
    }

    // A verification probe: no text goes out.
    bool is_probe() const;
};

// The text with its end mark: lines with CR LF, dots doubled, long lines broken.
class MessageText
{
public:
    virtual ~MessageText() = default;

    // Appends the next block to out; false when the end mark is in it.  An error means
    // that the text cannot be read: the server must not see an end mark then.
    virtual Task<Result<bool>> read(std::string& out) = 0;

    virtual bool broke_a_line() const { return false; }
};

// The text of a queue file.  Small files that are in the page cache are read at
// once; others on the pool, so that no disk stops the loop.
class QueuedText final : public MessageText
{
public:
    static constexpr std::size_t block_size = 64 * 1024;

    // fd: the open queue file, the caller's, and its size; line_limit as DataWriter has it.
    QueuedText(int fd, std::int64_t size, std::int64_t data_offset, std::size_t line_limit);
    ~QueuedText() override;

    // In the commit log the message begins in the middle of the file.
    void begins_at(std::int64_t offset) { begin_ = offset; }

    // For a server without 8BITMIME: 8-bit parts become quoted-printable or base64.
    void convert_to_7bit() { wants_7bit_ = true; }

    // Changes the text on its way; outlives it.
    void filter_with(OutputFilter* filter) { filter_ = filter; }

    Task<Result<bool>> read(std::string& out) override;
    bool broke_a_line() const override { return writer_.broke_a_line(); }

private:
    bool read_cached_file();
    Result<> plan_conversion();
    Result<bool> append_block(std::string& out);
    Result<bool> append_filtered(std::string& out, std::size_t end,
                                 const std::function<void(std::string_view, bool)>& sink);

    int fd_;
    std::int64_t size_;
    std::int64_t data_offset_;
    std::int64_t begin_ = 0;
    DataWriter writer_;
    std::unique_ptr<char[]> file_; // a small queue file, whole
    std::optional<ContentReader> reader_;
    bool wants_7bit_ = false;
    OutputFilter* filter_ = nullptr; // null: the text goes as it is
    std::unique_ptr<DownConverter> converter_;
};

} // namespace bulkhead
