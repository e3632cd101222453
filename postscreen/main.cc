// postscreen: keeps zombies away from smtpd.
#include "postscreen.h"

int main(int argc, char** argv)
{
    bulkhead::Postscreen screen;
    return bulkhead::run_worker(screen, argc, argv);
}
