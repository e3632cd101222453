#include "message_sink.h"

namespace bulkhead
{

Task<Result<>> CleanupSink::send_some()
{
    co_return co_await stream_.send_some();
}

Task<Result<ipc::CleanupResult>> CleanupSink::finish(unsigned flags)
{
    co_return co_await stream_.finish(flags);
}

} // namespace bulkhead
