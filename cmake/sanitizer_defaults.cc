// What AddressSanitizer does in our programs, in sanitized builds.  It is linked in because no
// environment variable reaches a worker or a set-group-id command.  The search for leaks needs
// ptrace, which those do not have; the unit tests, which have it, search.

extern "C" const char* __asan_default_options();

extern "C" const char* __asan_default_options()
{
    return "detect_leaks=0";
}
