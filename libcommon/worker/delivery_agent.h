// What all delivery agents share: taking requests from qmgr, holding the queue
// file while they work, and settling each recipient's fate - the log line, the
// entry with bounce or defer, the mark in the queue file.
#pragma once

#include "ipc/bounce.h"
#include "ipc/channel.h"
#include "ipc/delivery.h"
#include "spool/commit_log.h"
#include "spool/envelope.h"
#include "spool/queue_file.h"
#include "table/table.h"
#include "worker/message_worker.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

// What became of one recipient, as an agent says it.
struct DeliveryStatus {
    DeliveryStatus() = default;
    DeliveryStatus(ipc::DeliveryOutcome what, std::string code, std::string text)
        : outcome(what), dsn(std::move(code)), reason(std::move(text))
    {
    }

    ipc::DeliveryOutcome outcome = ipc::DeliveryOutcome::deferred;
    std::string dsn;            // "2.0.0", "5.1.1", "4.4.1"
    std::string reason;         // the text in parentheses of the log line
    std::string relay = "none"; // "mx.example.test[192.0.2.1]:25"
    std::string action; // empty: relayed/failed/delayed by the outcome; "delivered" for final delivery
    std::string diagnostic_type; // "smtp" with the remote reply
    std::string diagnostic_text;
    std::string remote_mta;                // host name of the peer that answered
    bool success_notice_passed_on = false; // the next hop took over NOTIFY=SUCCESS (RFC 3461, 5.2.2)
    int connection_uses = 1;               // conn_use= is logged from the second use on
    WallTime connected;                    // end of connection set-up (delays=.../c/d); zero: none was made
};

// One request being worked on.  The queue file stays open, with a shared lock, as
// long as this lives.
class Delivery
{
public:
    const ipc::DeliveryRequest& request() const { return request_; }
    // Where the text is: from request().data_offset on.  The message begins at begin(); in the
    // commit log other messages stand in front of it and behind it.
    int fd() const { return segment_ ? segment_->get() : fd_.get(); }
    std::int64_t begin() const { return base_; }
    std::int64_t file_size() const { return size_; }
    // log_client_name, log_ident, sasl_username, ... as the queue file has them; for agents that
    // want them, else empty.
    const std::vector<NamedAttribute>& attributes() const { return attributes_; }
    // The text cannot be read: qmgr shall put the message aside.
    void mark_as_corrupt() const;

    // True when this recipient's fate is settled already.
    bool is_settled(std::size_t index) const { return settled_[index]; }
    bool all_settled() const;

    // Logs, tells bounce or defer, marks the file.  Bounced becomes deferred when
    // the bounce service cannot take it, or with soft_bounce.
    Task<> settle(std::size_t index, DeliveryStatus status);

    // The same in two steps, for an agent that makes several deliveries of one recipient
    // (aliases).  report() logs and tells what became of one of them, the address being its own;
    // the answer is what it came to.  close() settles the recipient itself.
    Task<ipc::DeliveryOutcome> report(ipc::DeliveryRecipient part, DeliveryStatus status);
    void close(std::size_t index, ipc::DeliveryOutcome outcome);

    // All recipients that are not settled yet.
    Task<> settle_rest(DeliveryStatus status);

    // The next hop is in trouble: tells the scheduler.  Status still goes to settle().
    void site_trouble(std::string dsn, std::string reason);

private:
    friend class DeliveryAgent;
    Result<> open(const Spool& spool, LogSegment& last_segment);
    Result<Envelope> read_envelope() const;
    Task<bool> read_attributes();
    void pass_over_done();

    class DeliveryAgent* agent_ = nullptr;
    ipc::DeliveryRequest request_;

    UniqueFd fd_;                             // the queue file; in the log: the file that holds the lock
    std::shared_ptr<const UniqueFd> segment_; // of the log
    std::int64_t base_ = 0;
    std::int64_t size_ = 0;
    std::vector<NamedAttribute> attributes_;
    std::vector<bool> settled_;
    ipc::DeliveryReport report_;
};

// What a rule of a status filter makes of a status: "4.7.1 text" replaces code, outcome and text.
// False: the rule makes no sense, or would turn a success into a failure or the other way round;
// nothing has changed then.
bool replace_status(DeliveryStatus& status, std::string_view rule);

// Parameters of every agent.
struct DeliveryAgentParams : ParamSet {
    Param<bool> soft_bounce{this, "soft_bounce", "no", "defer what would be returned to the sender"};
    Param<int> delay_decimals{this, "delay_logging_resolution_limit", "2", between(0, 6),
                              "decimals of delays in log lines"};
    Param<std::string> bounce_service{this, "bounce_service_name", "bounce",
                                      "the service that keeps failed recipients"};
    Param<std::string> defer_service{this, "defer_service_name", "defer",
                                     "the service that keeps deferred recipients"};
    Param<std::string> trace_service{this, "trace_service_name", "trace",
                                     "the service that keeps delivery reports"};
    Param<std::string> verify_service{this, "address_verify_service_name", "verify",
                                      "the service that keeps address probe results"};
};

class DeliveryAgent : public MessageWorker
{
public:
    // Delivers to all recipients of the request: settle() each of them.
    virtual Task<> deliver(Delivery& delivery) = 0;

    // A subclass that overrides after_jail() calls this one first.
    Result<> after_jail() override;
    Result<> before_jail() override;

protected:
    Task<ipc::Message> answer(const ipc::Message& request) final;

    // Whether deliver() asks for Delivery::attributes().
    virtual bool wants_attributes() const { return false; }
    // Tables that replace the status of this agent's deliveries (default_delivery_status_filter);
    // asked once, before the jail.
    virtual std::string status_filter() const { return {}; }
    bool is_status_filter_stale() const { return status_filter_.is_stale(); }
    const Spool& spool() const { return *spool_; }

private:
    friend class Delivery;
    Task<bool> tell(const Delivery& delivery, const ipc::DeliveryRecipient& recipient,
                    const DeliveryStatus& status);
    Task<bool> tell_verify(const Delivery& delivery, const ipc::DeliveryRecipient& recipient,
                           const DeliveryStatus& status);
    Task<bool> tell_bounce(const Delivery& delivery, const ipc::DeliveryRecipient& recipient,
                           const DeliveryStatus& status);
    void log_status(const Delivery& delivery, const ipc::DeliveryRecipient& recipient,
                    const DeliveryStatus& status) const;

    Task<> filter_status(DeliveryStatus& status);

    DeliveryAgentParams agent_params_;
    TableList status_filter_;
    std::optional<Spool> spool_;
    LogSegment last_segment_;
    std::optional<ipc::Service> bounce_;
    std::optional<ipc::Service> defer_;
    std::optional<ipc::Service> trace_;
    std::optional<ipc::Service> verify_;
};

} // namespace bulkhead
