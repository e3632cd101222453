// The message as a session needs it: an envelope, and the text in the form in
// which it goes over the wire, block by block.
#pragma once

#include "async/task.h"
#include "base/result.h"
#include "ipc/delivery.h"
#include "smtp/data_writer.h"
#include "spool/content_reader.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

class DownConverter;

// One transaction's envelope.  Refers to the request, which outlives it.
struct OutgoingEnvelope {
    explicit OutgoingEnvelope(const ipc::DeliveryRequest& r) : request(&r) {}

    const ipc::DeliveryRequest* request;
    std::vector<std::size_t> recipients; // indexes into request->recipients

    // A verification probe ends before DATA.
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

    // fd: the open queue file, the caller's; line_limit as DataWriter has it.
    QueuedText(int fd, std::int64_t data_offset, std::size_t line_limit);
    ~QueuedText() override;

    // For a server without 8BITMIME: 8-bit parts become quoted-printable or base64.
    void convert_to_7bit() { wants_7bit_ = true; }

    Task<Result<bool>> read(std::string& out) override;
    bool broke_a_line() const override { return writer_.broke_a_line(); }

private:
    bool read_cached_file();
    Result<> plan_conversion();
    Result<bool> append_block(std::string& out);

    int fd_;
    std::int64_t data_offset_;
    DataWriter writer_;
    std::unique_ptr<char[]> file_; // a small queue file, whole
    std::optional<ContentReader> reader_;
    bool wants_7bit_ = false;
    std::unique_ptr<DownConverter> converter_;
};

} // namespace bulkhead
