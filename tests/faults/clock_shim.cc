// A wall clock that tests can set: seconds to add are in the file that $BULKHEAD_CLOCK names, which
// is mapped before the process enters its jail.  For LD_PRELOAD; steady clocks go on as they are.
#include <cstdint>
#include <cstdlib>
#include <ctime>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

namespace
{

const volatile std::int64_t* ahead = nullptr;

__attribute__((constructor)) void map_the_clock()
{
    const char* const path = std::getenv("BULKHEAD_CLOCK");
    const int fd = path != nullptr ? ::open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void* const page = ::mmap(nullptr, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    if (page != MAP_FAILED)
        ahead = static_cast<const volatile std::int64_t*>(page);
}

} // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept
{
    using Original = int (*)(clockid_t, timespec*);
    static const auto original = reinterpret_cast<Original>(::dlsym(RTLD_NEXT, "clock_gettime"));
    const int result = original(clock, time);
    if (result == 0 && ahead != nullptr && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += *ahead;
    return result;
}

extern "C" int gettimeofday(timeval* time, void*) noexcept
{
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    *time = {now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

extern "C" std::time_t time(std::time_t* result) noexcept
{
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != nullptr)
        *result = now.tv_sec;
    return now.tv_sec;
}
