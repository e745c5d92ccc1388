# Ruby's dalli, told what to do by lines of JSON, as the clients in clients.py are:
#
#     dalli.rb marshal|json PORT
require 'dalli'
require 'json'

def describe(value)
  case value
  when nil then ['none']
  when true, false then ['bool', value]
  when Integer then ['int', value.to_s]
  when Float then ['float', [value].pack('G').unpack1('H*')]
  when Symbol then ['symbol', value.to_s]
  when String then value.encoding == Encoding::UTF_8 ? ['text', value] : ['bytes', value.unpack1('H*')]
  when Array then ['list', value.map { |item| describe(item) }]
  when Hash then ['dict', value.map { |key, item| [describe(key), describe(item)] }]
  else raise TypeError, value.inspect
  end
end

def make((kind, what))
  case kind
  when 'none' then nil
  when 'bool', 'text' then what
  when 'int' then Integer(what)
  when 'float' then [what].pack('H*').unpack1('G')
  when 'symbol' then what.to_sym
  when 'bytes' then [what].pack('H*')
  when 'list' then what.map { |item| make(item) }
  when 'dict' then what.to_h { |key, item| [make(key), make(item)] }
  when 'time' then Time.at(what)
  else raise TypeError, kind
  end
end

serializer = { 'marshal' => Marshal, 'json' => JSON }.fetch(ARGV[0])
client = Dalli::Client.new("127.0.0.1:#{ARGV[1]}", serializer: serializer, compression_min_size: 1000)
$stdout.sync = true
$stdin.each_line do |line|
  command = JSON.parse(line)
  answer = begin
    if command.key?('set')
      describe(client.set(command['set'], make(command['value']), nil, command['options']&.transform_keys(&:to_sym)) ? true : false)
    else
      describe(client.get(command['get']))
    end
  rescue StandardError => e
    { error: "#{e.class}: #{e.message}" }
  end
  puts JSON.generate(answer)
end
