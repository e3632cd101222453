#include "anvil.h"

#include "ipc/channel.h"
#include "ipc/trace.h"
#include "log/log.h"

#include <algorithm>
#include <map>

namespace bulkhead
{

AnvilWorker::AnvilWorker() : sweep_timer_([this] { tick(); }), status_timer_([this] { log_statistics(); }) {}

Result<> AnvilWorker::after_jail()
{
    clients_.emplace(params_.time_unit());
    sweep_timer_.start(params_.time_unit());
    status_timer_.start(params_.status_time());
    return {};
}

Seconds AnvilWorker::idle_time() const
{
    return std::max(common().max_idle(), params_.time_unit());
}

void AnvilWorker::tick()
{
    clients_->sweep(WallTime::now().seconds);
    sweep_timer_.start(params_.time_unit());
}

void AnvilWorker::log_statistics()
{
    for (const std::string& line : clients_->take_statistics())
        log::info(line);
    status_timer_.start(params_.status_time());
}

// One process that reports; what it leaves behind is over when it goes.
Task<> AnvilWorker::serve(Session& session)
{
    std::map<std::string, int> open; // connections that it has reported
    session.stream.set_timeout(Milliseconds(0));
    for (;;) {
        session.at_rest = true;
        const auto request = co_await ipc::receive(session.stream);
        session.at_rest = false;
        if (!request)
            break;
        ipc::trace_received("client", *request);
        const auto report = ipc::decode_client_report(*request);
        if (request->kind() != ipc::Kind::client_event || !report) {
            log::warn("request refused: " + (report ? "no event" : report.error().context));
            break;
        }
        if (report->event == ipc::ClientEvent::connect)
            ++open[report->client];
        else if (report->event == ipc::ClientEvent::disconnect && --open[report->client] <= 0)
            open.erase(report->client);
        const ipc::Message answer = ipc::encode(clients_->count(*report, WallTime::now().seconds));
        ipc::trace_sent("client", answer);
        const auto sent = co_await ipc::send(session.stream, answer);
        if (!sent)
            break;
    }
    for (const auto& [client, count] : open)
        for (int i = 0; i < count; ++i)
            (void)clients_->count({ipc::ClientEvent::disconnect, client}, WallTime::now().seconds);
}

} // namespace bulkhead
