"""Does the target have room: disks, memory, CPU, and the hours of the window."""
