// An SMSC on node-smpp, driven by JSON lines: node smsc.cjs FOLDER
// In:  {"deliver": {...}} with the fields of a deliver_sm, sent over every session. The end of stdin ends it.
// Out: {"listening": PORT}, {"bind": {...}}, {"submit": {...}}, {"delivered": STATUS}, {"unbind": true}
// A submit_sm that asks for a receipt gets one behind its answer.
'use strict';
const path = require('path');
const readline = require('readline');
const smpp = require(path.join(process.argv[2], 'node_modules', 'smpp'));

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const sessions = new Set();
let submits = 0;

function deliver(session, fields) {
  session.deliver_sm(fields, (pdu) => say({ delivered: pdu.command_status }));
}

const server = smpp.createServer((session) => {
  session.on('error', (error) => say({ error: String(error) }));
  session.on('close', () => sessions.delete(session));
  const bind = (pdu) => {
    say({ bind: { command: pdu.command, system_id: pdu.system_id, password: pdu.password } });
    session.send(pdu.response({ system_id: 'node-smsc' }));
    sessions.add(session);
  };
  for (const kind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(kind, bind);
  }
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    say({ unbind: true });
    session.send(pdu.response());
    session.close();
  });
  session.on('submit_sm', (pdu) => {
    submits += 1;
    const id = 'node-' + submits;
    const message = pdu.message_payload || pdu.short_message;
    const note = pdu[0x1400];
    say({
      submit: {
        source: pdu.source_addr, destination: pdu.destination_addr, data_coding: pdu.data_coding, esm_class: pdu.esm_class,
        text: (message.message === undefined ? message : message.message).toString(),
        udh: (message.udh || []).map((element) => element.toString('hex')),
        note: note === undefined ? null : note.toString('hex'), id,
      },
    });
    session.send(pdu.response({ message_id: id }));
    if (pdu.registered_delivery) {
      deliver(session, {
        source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
        short_message: 'id:' + id + ' sub:001 dlvrd:001 stat:DELIVRD err:000 text:', receipted_message_id: id, message_state: 2,
      });
    }
  });
});
server.listen(0, '127.0.0.1', () => say({ listening: server.address().port }));

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const { deliver: fields } = JSON.parse(line);
  for (const session of sessions) {
    deliver(session, fields);
  }
});
lines.on('close', () => process.exit(0));
