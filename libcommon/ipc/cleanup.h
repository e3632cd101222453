// Handing a new message to cleanup, record by record.  Used by smtpd, pickup and
// bounce; answered by cleanup/.
//
//   client                                cleanup
//   cleanup_open {flags}              ->
//                                     <-  ok {queue_id}
//   cleanup_records (raw records) ...  ->
//   cleanup_milters {milter ...}      ->  with descriptors: docs/milters.md
//   cleanup_finish {flags}            ->
//                                     <-  ok {status, reason, dsn}
//
// Records are those of the queue file (spool/record.h): the envelope T, A, F, S, O,
// R, M; the content N, L; X, the extracted segment, E.  No C record.  A connection
// that closes before cleanup_finish breaks off: nothing of the message remains.
// The same connection may then carry the next message.  The last answer may name its id in
// advance, as next_id: then cleanup_open with flag `ahead` takes that one, and gets no answer.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::ipc
{

// What cleanup shall do with this message (receive_override_options and origin).
namespace cleanup_flag
{
inline constexpr unsigned filter = 1;        // header and body checks
inline constexpr unsigned map_addresses = 2; // canonical, virtual alias, masquerade, bcc
inline constexpr unsigned rewrite_local = 4; // header addresses are ours: complete them
inline constexpr unsigned bounce_errors = 8; // nobody waits for the answer: return bad mail to its sender
inline constexpr unsigned hold = 16;         // straight to hold/
inline constexpr unsigned smtputf8 = 32;
inline constexpr unsigned discard = 64; // take everything, keep nothing
inline constexpr unsigned internal =
    128; // a notice or forwarded mail: part of a delivery, never kept waiting
inline constexpr unsigned local_milters = 256;  // non_smtpd_milters
inline constexpr unsigned client_milters = 512; // the client brings connections to milters
inline constexpr unsigned ahead = 1024;         // under the id that came with the last answer
} // namespace cleanup_flag

// The bits are those that postdrop's exit status has (queue-format.md section 10).
namespace cleanup_status
{
inline constexpr unsigned ok = 0;
inline constexpr unsigned bad = 1;         // records that do not make a message
inline constexpr unsigned write_error = 2; // the queue file cannot be written
inline constexpr unsigned too_big = 4;     // message_size_limit
inline constexpr unsigned rejected = 8;    // by content
inline constexpr unsigned too_many_hops = 16;
inline constexpr unsigned no_recipient = 64;
inline constexpr unsigned temporary = 128; // a table or service failed: try later
inline constexpr unsigned not_permitted = 512;
} // namespace cleanup_status

inline constexpr std::size_t max_lent_milters = 50;

// The dsn of a write_error that room on the disk would cure: 452, not 451.
inline constexpr std::string_view disk_full_dsn = "4.3.1";

struct CleanupResult {
    unsigned status = cleanup_status::ok;
    std::string reason;  // a text for the client, when content was rejected
    std::string dsn;     // its status code; may be empty
    int code = 0;        // a milter's own reply, whose lines are joined by '\n' in reason; 0: none
    std::string next_id; // of the next message on this connection; empty: ask for one
    std::string milters; // one per connection that was lent: '+' in step again, '-' beyond use

    bool ok() const { return status == cleanup_status::ok; }
};

// The SMTP reply that a failed CleanupResult deserves: "452 4.3.1", "552 5.3.4", ...
struct CleanupVerdict {
    int code;
    std::string_view dsn;
    std::string_view text;
};
CleanupVerdict verdict_of(const CleanupResult& result);

Message encode_cleanup_open(unsigned flags);
Message encode_cleanup_opened(std::string_view queue_id);
Message encode_cleanup_not_opened(const Error& error);
Message encode(const CleanupResult& result);
Message encode_cleanup_milters(const std::vector<std::string>& states);
Result<std::vector<std::string>> decode_cleanup_milters(const Message& message);
Message encode_cleanup_finish(unsigned flags);
Result<unsigned> decode_cleanup_open(const Message& message);
unsigned decode_cleanup_finish(const Message& message); // hold and discard only
Result<CleanupResult> decode_cleanup_result(const Message& message);

// One message on its way.  Destroying it before finish() breaks off.
class CleanupStream
{
public:
    // The service must outlive the stream.  Fault::broken: cleanup cannot be had now;
    // with errno ENOSPC because the disk is full.
    static Task<Result<CleanupStream>> open(Service& cleanup, unsigned flags);

    const std::string& queue_id() const { return queue_id_; }

    // Collect records here with spool/record.h's append functions; call send_some()
    // now and then: it sends once a block is full.
    std::string& records() { return records_; }
    bool wants_sending() const { return records_.size() >= block_size; }
    Task<Result<>> send_some();

    // Connections to milters, which cleanup uses until finish() is over: what each state is
    // says milter/filter.h.  Once, in front of finish(), with flag client_milters.
    void lend_milters(const std::vector<std::string>& states, std::vector<int> descriptors);

    // Sends the rest, waits until the message is on disk or refused.  flags: what was decided since
    // the beginning, hold or discard.
    Task<Result<CleanupResult>> finish(unsigned flags = 0);

private:
    static constexpr std::size_t block_size = 32 * 1024;

    CleanupStream(Service& service, Service::Connection connection)
        : service_(&service), connection_(std::move(connection))
    {
    }
    static CleanupStream begin_ahead(Service& cleanup, Service::Connection connection, unsigned flags);
    void frame_records();

    Service* service_;
    Service::Connection connection_;
    std::string queue_id_;
    std::string records_;
    std::vector<int> descriptors_; // lent, not ours
};

} // namespace bulkhead::ipc
