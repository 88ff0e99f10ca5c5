// A provider on node-smpp, driven by JSON lines: node client.cjs FOLDER HOST PORT SYSTEM_ID PASSWORD
// In:  {"submit": {...}} with the fields of a submit_sm; "udh" and "octets" in hexadecimal. The end of stdin unbinds.
// Out: {"bound": STATUS}, {"answer": {...}}, {"deliver": {...}}, {"unbound": STATUS}, {"closed": true}
'use strict';
const path = require('path');
const readline = require('readline');
const [folder, host, port, systemId, password] = process.argv.slice(2);
const smpp = require(path.join(folder, 'node_modules', 'smpp'));
smpp.addTLV('vendor_note', { id: 0x1400, type: smpp.types.tlv.buffer });

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const session = smpp.connect({ host, port: Number(port) });

session.on('error', (error) => say({ error: String(error) }));
session.on('close', () => say({ closed: true }));
session.on('enquire_link', (pdu) => session.send(pdu.response()));
session.on('deliver_sm', (pdu) => {
  const text = pdu.short_message.message;
  say({ deliver: { source: pdu.source_addr, text: text.toString(), esm_class: pdu.esm_class, id: pdu.receipted_message_id } });
  session.send(pdu.response());
});
session.on('connect', () => {
  session.bind_transceiver({ system_id: systemId, password }, (pdu) => say({ bound: pdu.command_status }));
});

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const { source, destination, text, octets, udh, payload, note, ...others } = JSON.parse(line).submit;
  const fields = { source_addr: source, source_addr_npi: 1, destination_addr: destination, dest_addr_ton: 1, dest_addr_npi: 1, ...others };
  const message = octets === undefined ? text : Buffer.from(octets, 'hex');
  if (payload) {
    fields.message_payload = message;
  } else if (udh) {
    fields.short_message = { udh: Buffer.from(udh, 'hex'), message };
  } else {
    fields.short_message = message;
  }
  if (note) {
    fields.vendor_note = Buffer.from(note, 'hex');
  }
  session.submit_sm(fields, (pdu) => say({ answer: { status: pdu.command_status, id: pdu.message_id } }));
});
lines.on('close', () => {
  session.unbind((pdu) => {
    say({ unbound: pdu.command_status });
    session.close();
  });
});
