// cleanup: from what smtpd, pickup and bounce send to a queue file.
#include "cleanup.h"

int main(int argc, char** argv)
{
    bulkhead::Cleanup cleanup;
    return bulkhead::run_worker(cleanup, argc, argv);
}
