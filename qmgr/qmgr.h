// The queue manager: takes messages from incoming/ and deferred/ into active/,
// asks where their recipients go, hands them to delivery agents as the scheduler
// says, and settles each message: removed, returned, or deferred.  Reads
// envelopes, never text.
#pragma once

#include "active_message.h"
#include "intake.h"
#include "params.h"
#include "scheduler.h"

#include "async/offload.h"
#include "ipc/bounce.h"
#include "ipc/qmgr.h"
#include "ipc/rewrite.h"
#include "spool/commit_log.h"
#include "spool/file_pool.h"
#include "table/domain_list.h"
#include "worker/message_worker.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace bulkhead
{

// The transport whose agent defers everything; its next hop is the reason.
inline constexpr const char* retry_transport = "retry";
inline constexpr const char* error_transport = "error";
inline constexpr const char* discard_transport = "discard";

// The scheduler's clock.
Moment scheduler_time();

// "4.4.1 connect to x" becomes "4.4.1 delivery temporarily suspended: connect to x".
std::string suspended_reason(const std::string& dsn_and_reason);

class Qmgr final : public MessageWorker
{
public:
    Qmgr();

    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Result<> after_jail() override;
    void wake() override;
    bool is_idle() const override;
    void drain() override;
    std::int64_t wake_at() const override;
    Seconds idle_time() const override;

protected:
    Task<ipc::Message> answer(const ipc::Message& request) override;
    void notified(std::string_view letters) override;

private:
    // ---- intake ----
    static Task<> start_up(Qmgr* self);
    bool keep_arrival(const QueueId& id);
    void take_arrivals();
    bool is_behind() const;
    ipc::QueueTaken taken() const;
    static Task<> activate(Qmgr* self, QueueId id, ClaimOptions options);
    bool is_one_probe_too_many(const ActiveMessage& message) const;
    bool is_end_of_bounces(const ipc::Resolved& recipient) const;
    Task<> route(ActiveMessage& message, std::vector<Recipient> recipients);
    void name_queue(RoutedRecipient& routed);
    Task<RoutedRecipient> route_recipient(const ActiveMessage& message, ipc::DeliveryRecipient recipient);
    void request_scans(bool incoming, bool deferred, bool ignore_time);
    void start_scans();
    void watch_clock();
    // A service of another name than queue_service_name, for the mail that its own cleanup tells it of.
    bool is_second() const { return service_name() != params_.queue_service(); }
    static Task<> ask_first(Qmgr* self);
    static Task<> scan(Qmgr* self, Queue queue, bool ignore_time);
    static Task<> rehash(Qmgr* self);
    void run_queue();
    void sweep_incoming();
    static Task<> sweep(Qmgr* self);
    Task<> wait_for_room();
    bool has_room() const;
    static Task<> flush(Qmgr* self, ipc::QueueFlush what);

    // ---- the commit log: logged.cc ----
    void take_logged(ipc::QueueLogged logged);
    std::shared_ptr<LogStates> states_of(const std::string& owner);
    Claim claim_from_log(const QueueId& id);
    static Task<> file_one(Qmgr* self, LogPlace place);
    static Task<> file_active(Qmgr* self, ActiveMessage* message);
    Task<> need_file(ActiveMessage& message);
    void look_after_logged();
    static Task<> read_left_logs(Qmgr* self);
    void leave_log(const QueueId& id);
    void file_all();

    // ---- delivery ----
    void pump();
    void trace_choice(const Entry& entry) const;
    static Task<> deliver(Qmgr* self, std::unique_ptr<Entry> entry);
    ipc::DeliveryRequest request_for(const Entry& entry) const;
    void transport_failed(const std::string& transport, const std::string& reason);
    void reroute(std::unique_ptr<Entry> entry, const std::string& reason);
    void settled(ActiveMessage& message, std::size_t recipients);
    void count(ActiveMessage& message, const Entry& entry, const ipc::DeliveryReport& report);
    void note_waiting(ActiveMessage& message, const ipc::DeliveryRecipient& recipient);
    ipc::Service& agent(const std::string& transport);
    TransportLimits limits_of(const std::string& transport) const;

    // ---- refill ----
    std::size_t free_recipients() const;
    std::size_t first_batch() const;
    std::size_t next_batch(const ActiveMessage& message) const;
    bool wants_refill(const ActiveMessage& message) const;
    bool start_refill(ActiveMessage& message);
    void go_on(ActiveMessage& message);
    void refill_all();
    static Task<> refill(Qmgr* self, ActiveMessage* message);

    // ---- completion ----
    static Task<> complete(Qmgr* self, ActiveMessage* message);
    Task<bool> send_notice(const ActiveMessage& message, ipc::Notice notice, Queue log);
    Task<> tell_flush(const ActiveMessage& message);
    Task<> end_trace(const ActiveMessage& message);
    Task<> defer_message(ActiveMessage& message);
    Task<> remove_message(ActiveMessage& message);
    Task<> retry_at_once(ActiveMessage& message);
    bool has_expired(const ActiveMessage& message) const;
    void forget(ActiveMessage& message);
    void arm_event_timer();
    void after_change();

    QmgrParams params_;
    std::optional<Spool> spool_;
    Lane moves_;                   // into active and out of it
    std::optional<FilePool> pool_; // where the files of settled messages go
    std::optional<ipc::RewriteClient> resolver_;
    std::optional<ipc::Service> bounce_;
    std::optional<ipc::Service> defer_;
    std::optional<ipc::Service> trace_;
    std::optional<ipc::Service> flush_;
    std::optional<ipc::Service> first_; // of a second queue manager
    bool asking_first_ = false;
    MatchList flush_sites_;
    std::unordered_map<std::string, std::unique_ptr<ipc::Service>> agents_;

    Scheduler scheduler_;
    ActiveMessages active_;
    std::unordered_set<std::string> claiming_;
    std::unordered_map<std::string, int> uncertain_retries_;
    std::deque<QueueId> arrivals_;
    SteadyTime intake_moved_{}; // the newest arrival was taken, or the first one began to wait
    // Messages that may have no file, from the moment that we were told of them.
    struct Logged {
        LogPlace place;
        std::shared_ptr<LogStates> states; // shared with the jobs that are under way
        SteadyTime since;
    };
    std::unordered_map<std::string, Logged> logged_;
    std::unordered_map<std::string, std::weak_ptr<LogStates>> log_states_; // by owner
    std::shared_ptr<LogStates> last_states_;
    LogSegment last_segment_;
    bool reading_left_logs_ = false;
    Condition filed_;
    std::unordered_set<ActiveMessage*> partly_read_;
    std::size_t in_flight_ = 0;
    std::size_t in_flight_limit_ = 1000;
    std::size_t recipients_in_memory_ = 0;
    std::size_t probes_ = 0; // among the active messages

    bool recovered_ = false;
    bool stranded_ = false; // files in active/ that could not be taken up again
    bool sweeping_ = false;
    bool incoming_wanted_ = false;
    bool deferred_wanted_ = false;
    bool ignore_time_ = false;
    std::int64_t clock_offset_ =
        0; // seconds that the wall clock is ahead of the steady one; 0: not known yet
    bool scanning_incoming_ = false;
    bool scanning_deferred_ = false;
    bool overflow_ = false;     // arrivals were dropped: incoming must be scanned
    std::int64_t next_due_ = 0; // earliest attempt time that we know of in deferred
    bool leave_ = false;        // drained long enough

    Condition room_;
    Scope scope_;
    Timer scan_timer_;
    Timer busy_timer_; // files that were busy are looked for again
    Timer event_timer_;
    Timer refill_timer_;
    Timer leave_timer_;
    Timer logged_timer_;
};

} // namespace bulkhead
