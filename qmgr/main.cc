#include "qmgr.h"

int main(int argc, char** argv)
{
    bulkhead::Qmgr qmgr;
    return bulkhead::run_worker(qmgr, argc, argv);
}
