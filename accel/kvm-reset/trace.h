#include "trace/trace-accel_kvm_reset.h"
