#!/usr/bin/env python3
"""Start, memory and reload of many idle environments below one master, each with its own user, on loopback ports.

usage: many_environments.py NUMBER PREFIX      (as root; PREFIX is an installation)
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

N=int(sys.argv[1]); prefix=sys.argv[2]
top=pathlib.Path(tempfile.mkdtemp(prefix='bh1000.',dir='/tmp')); top.chmod(0o755)
base='''compatibility_level = 3.6
setgid_group = bhdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
myhostname = mx.many.example
smtpd_peername_lookup = no
maillog_file_prefixes = %s
maillog_file = %s/log
''' % (top,top)
SERV=open(pathlib.Path(__file__).resolve().parent.parent / 'support/environment.py').read().split('SERVICES = """\\\n')[1].split('"""')[0].format(chroot='y',pickup_wakeup=60)
passwd=open('/etc/passwd').read(); group=open('/etc/group').read()
dirs=[]
for i in range(N):
    d=top/f'e{i}'; etc=d/'etc'; etc.mkdir(parents=True); (d/'data').mkdir(mode=0o700); os.chown(d/'data',40000+i,40000+i)
    passwd+=f'bhm{i}:x:{40000+i}:{40000+i}::/nonexistent:/usr/sbin/nologin\n'; group+=f'bhm{i}:x:{40000+i}:\n'
    m=base+f'queue_directory = {d}/spool\ndata_directory = {d}/data\nmail_owner = bhm{i}\n'
    if i: m+=f'multi_instance_name = postfix-{i}\nmulti_instance_enable = yes\n'; dirs.append(str(etc))
    (etc/'main.cf').write_text(m)
    (etc/'master.cf').write_text(f'127.0.0.1:{20000+i} inet n - y - - smtpd\n'+SERV)
with open(top/'e0/etc/main.cf','a') as f: f.write('multi_instance_directories = '+' '.join(dirs)+'\n')
(top/'passwd').write_text(passwd); (top/'group').write_text(group)
cmd=f'mount --bind {top}/passwd /etc/passwd; mount --bind {top}/group /etc/group; exec {prefix}/sbin/bulkhead -c {top}/e0/etc start'
def smaps(pid):
    t=open(f'/proc/{pid}/smaps_rollup').read()
    return {k:int(re.search(rf'^{k}: +(\d+)',t,re.M)[1])//1024 for k in ('Rss','Pss')}, len(os.listdir(f'/proc/{pid}/fd'))
def slab(): 
    t=open('/proc/meminfo').read(); return int(re.search(r'Slab: +(\d+)',t)[1])/1024
s0=slab()
for run in ('first','again'):
    t=time.time(); r=subprocess.run(['unshare','-m','sh','-ec',cmd],capture_output=True,text=True,stdin=subprocess.DEVNULL); e=time.time()-t
    if r.returncode: print(r.stderr[-2000:]); break
    pid=int(open(top/'e0/spool/pid/master.pid').read())
    up=sum(1 for i in range(N) if socket.socket().connect_ex(('127.0.0.1',20000+i))==0) if run=='never' else None
    kids=subprocess.run(['pgrep','-P',str(pid),'-l'],capture_output=True,text=True).stdout.split('\n')
    print(run,'start %.2f s'%e,smaps(pid),'children',kids[:6],'slab +%.0f MiB'%(slab()-s0),'stderr',r.stderr.count('\n'))
    if run=='again':
        def first(port):
            t=time.time(); s=socket.create_connection(('127.0.0.1',port),10); s.recv(100); x=time.time()-t; s.close(); return x
        a=first(20000+N-1); b=first(20000+N-1); print('first answer of an idle one %.0f ms, then %.0f ms'%(a*1000,b*1000))
        for d in (dirs[-1],dirs[0]):
            t=time.time(); r=subprocess.run([prefix+'/sbin/bulkhead','-c',d,'reload'],capture_output=True,text=True); print('reload of one %.0f ms'%((time.time()-t)*1000),r.returncode,r.stderr[-200:])
        t=time.time(); r=subprocess.run([prefix+'/sbin/bulkhead','-c',f'{top}/e0/etc','reload'],capture_output=True,text=True); print('reload of all %.2f s'%(time.time()-t),r.returncode,r.stderr[-300:])
    t=time.time(); subprocess.run([prefix+'/sbin/bulkhead','-c',f'{top}/e0/etc','stop'],capture_output=True); print('stop %.2f s'%(time.time()-t))
print(open(top/'log').read()[-600:] if os.path.exists(top/'log') else '')
shutil.rmtree(top)
