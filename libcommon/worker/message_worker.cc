#include "worker/message_worker.h"

#include "base/text.h"
#include "ipc/channel.h"
#include "ipc/trace.h"
#include "log/log.h"

#include <fmt/format.h>

namespace bulkhead
{

void MessageWorker::notified(std::string_view) {}

Task<bool> MessageWorker::converse(Session& session, ipc::Message request)
{
    const ipc::Message reply = co_await answer(request);
    const auto sent = co_await tell(session, reply);
    co_return static_cast<bool>(sent);
}

Task<Result<>> MessageWorker::tell(Session& session, const ipc::Message& message)
{
    ipc::trace_sent("client", message);
    return ipc::send(session.stream, message);
}

Task<> MessageWorker::serve(Session& session)
{
    Stream& stream = session.stream;
    bool is_kept = false;
    while (!is_draining() || session.promise || !stream.buffered().empty()) {
        if (stream.buffered().empty()) {
            session.at_rest = !session.promise;
            stream.set_timeout(Milliseconds(0));
            const auto arrived = co_await stream.fill();
            session.at_rest = false;
            if (!arrived)
                co_return;
        }
        stream.set_timeout(common().ipc_timeout());
        if (stream.buffered().front() != ipc::frame_magic) {
            const std::string letters(stream.buffered().substr(0, 64));
            stream.consume(letters.size());
            if (log::verbosity() > 0)
                log::trace(fmt::format("< client: letters {}", printable(letters)));
            notified(letters);
            continue;
        }
        auto request = co_await ipc::receive(stream);
        if (!request) {
            if (request.error().fault == Fault::malformed || request.error().fault == Fault::limit)
                log::warn(fmt::format("request to {} refused: {}", service_name(), request.error().context));
            co_return;
        }
        ipc::trace_received("client", *request);
        // Unanswered on a connection that was kept: the client asks once more, over a new one.
        if (is_kept && !session.promise && steps_aside())
            co_return;
        is_kept = true;
        const bool in_step = co_await converse(session, std::move(*request));
        if (!in_step)
            co_return;
    }
}

} // namespace bulkhead
